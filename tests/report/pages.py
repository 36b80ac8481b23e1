"""What the report tests share: a run folder made up to order, and a reader of pages."""

import json
import math
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from likewise.core.card import Card
from likewise.report.samples import Samples

EVIL = (
    '<img src=x onerror="window.pwned=1">.png',
    "</script><script>window.pwned=1</script>",
    "\"' onmouseover=window.pwned=1 x='",
    "javascript:window.pwned=1",
    "{{ 7 * 7 }}",
    "日本語/ü\u202egnp.exe.png",
    "broken\udcff.png",
    "<!--",
    "]]>&amp;\u2028",
)
VOID = {"meta", "link", "img", "br", "input", "hr"}

CARD = Card(
    slug="dcl",
    title="Decoupled <b>Contrastive</b> Learning",
    name="DCL",
    paper="arXiv:2110.06848",
    year=2021,
    modality="image",
    task="embeddings",
    contrasts="two crops of one image against crops of others",
    pick="Small batches.",
    equation=r"\ell_i = -\langle a_i, p_i\rangle/\tau + \log\sum_{j\neq i} e^{\langle a_i, c_j\rangle/\tau}",
    deviations=("temperature < 0.1 & more",),
)


def part(kind: str, called: str, /, **settings: object) -> dict[str, object]:
    return {"kind": kind, "part": called, "settings": settings}


def recipe(**changes: object) -> dict[str, object]:
    encoder = part("encoder", "convnet", dim=64)
    return {
        "learner": part("learner", "dcl", encoder=encoder, temperature=0.1),
        "data": part("data", "image-folder", path="/home/me/my photos"),
        "views": part("views", "simclr", strength=0.5),
        "optimizer": part("optimizer", "adam", lr=1e-3),
        "schedule": part("schedule", "cosine"),
        "batch": 64,
        "epochs": 3.0,
        "stages": [],
    } | changes


def events(probes: int = 4, bad_step: int | None = None) -> list[dict[str, object]]:
    out: list[dict[str, object]] = [{"event": "start", "time": 0.0, "step": 0}]
    for step in range(probes * 10 + 1):
        at = {"time": float(step), "step": step, "epoch": step / 10}
        if step % 10 == 0:
            positive, negative = np.zeros(40, int), np.zeros(40, int)
            positive[20 + step * 19 // (probes * 10)] = 100
            negative[20] = 100
            hists = {"positive_hist": positive.tolist(), "negative_hist": negative.tolist()}
            out.append({"event": "probe", **at, "knn": 0.5 + step / 100, "effective_rank": 10.0, **hists})
        if step:
            loss = math.nan if step == bad_step else 5 / step
            out.append({"event": "step", **at, "loss": loss, "lr": 0.1, "samples_per_s": 100.0, "tau": 0.2})
    return out


METRICS = {
    "knn": 0.91,
    "linear": 0.93,
    "linear_200": 0.8,
    "linear_200_std": 0.02,
    "effective_rank": 40.0,
    "uniformity": -2.7,
    "alignment": 0.2,
    "apart": 1.9,
    "chance": 0.1,
    "dim": 64.0,
    "seconds": 12.5,
    "untrained": {"knn": 0.85, "effective_rank": 20.0, "uniformity": -1.0},
}


def write_run(folder: Path, **given: object) -> Path:
    """A run folder; ``given`` replaces a file's content by name without suffix, None leaves the file out."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {"method": "dcl", "size": "small", "seed": 3, "version": "0.1.0", "facts": {}, "recipe": recipe()}
    command = ["/usr/bin/likewise", "train", "dcl", "--data", "my photos"]
    status = {"state": "finished", "step": 40, "steps": 40, "epochs": 4.0, "time": time.time(), "message": ""}
    files = {"recipe": made, "environment": {"python": "3.11", "command": command}, "status": status}
    files |= {"metrics": METRICS, "events": events()}
    for name, content in (files | given).items():
        if name == "events" and content is not None:
            (folder / "events.jsonl").write_text("\n".join(json.dumps(e) for e in content))
        elif content is not None:
            (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def samples(n: int = 60, d: int = 8, num_classes: int = 3, **changes: object) -> Samples:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % max(1, num_classes)
    centres = rng.normal(size=(max(1, num_classes), d)) * 2
    held = {
        "features": (centres[labels] + rng.normal(size=(n, d))).astype(np.float32),
        "keys": [f"folder/{i}.png" for i in range(n)],
        "labels": labels,
        "classes": [f"class {c}" for c in range(num_classes)],
        "thumbnails": rng.integers(0, 255, (n, 3, 16, 16), dtype=np.uint8),
    }
    return Samples(**(held | changes))


class Reader(HTMLParser):
    """Reads a page and complains where it is not well formed, loads something, or could run what it should not."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        ids = [a["id"] for _, a in self.tags if "id" in a]
        assert len(ids) == len(set(ids)), f"an id stands twice: {ids}"
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        assert len(values) == len(attrs), f"an attribute stands twice: {attrs}"
        self.tags.append((tag, values))
        for name, value in values.items():
            assert not name.startswith("on"), f"an event handler: {tag} {name}={value}"
            if name in ("src", "data", "poster", "srcset", "action") or (name == "href" and tag != "a"):
                assert value.startswith("data:"), f"loads {value[:80]}"
            if name == "style":
                assert "url(" not in value or "url(data:" in value, f"loads {value[:80]}"
        if tag == "a":
            address = values["href"]
            assert ":" not in address or address.startswith("https://"), f"leads to {address}"
        if tag == "img":
            assert values.get("alt"), "a picture without words"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a start"
        assert self.open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.words.append(data)

    def count(self, tag: str, **attributes: str) -> int:
        return sum(t == tag and all(a.get(k) == v for k, v in attributes.items()) for t, a in self.tags)

    def data(self) -> dict[str, object]:
        """What the page's scripts read."""
        found = next(s for s in self.scripts if s.startswith("{"))
        return json.loads(found)
