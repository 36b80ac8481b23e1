"""Images per second of SimCLR's augmentations: likewise against torchvision, Pillow and kornia, in one run.

    python benchmarks/augment.py

Everybody gets the same images (crops of scikit-learn's two photographs) and the same recipe: random resized crop,
flip, colour jitter, grayscale, blur, normalised float32 batches of 256. likewise uses 2 threads, per-sample pipelines
2 workers (or one process with 2 threads), kornia 2 threads. Rounds are interleaved and the median is reported. Peers
run in an environment of their own, made on the first run under .peers/; where it can't be made, only Pillow runs.

Writes benchmarks/results/augment.json and augment.png.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from augment_peers import BATCH, BLUR_PROB, GRAY_PROB, JITTER, JITTER_PROB, SCALE, SIGMA, THREADS, measure
from likewise.core.draws import Draws
from likewise.views.image import two_crops
from peers import machine, peers_python

HERE = Path(__file__).resolve().parent
SIZES = (32, 64, 96)
OURS = "likewise, batched"
TARGET = 5.0


class Peers:
    """The process that measures the peers."""

    def __init__(self, python: str) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": str(THREADS), "PYTHONWARNINGS": "ignore"}
        command = [python, str(HERE / "augment_peers.py")]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def ask(self, **task: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the peers' process ended while measuring {task}")
        return json.loads(answer)


def photographs(size: int) -> np.ndarray:
    """A batch of crops of real photographs, uint8 ``(256, size, size, 3)``."""
    generator = random.Random(size)
    sources = [Image.fromarray(x) for x in load_sample_images().images]
    out = []
    for i in range(BATCH):
        source = sources[i % len(sources)]
        side = generator.randint(size, min(source.size))
        left, top = generator.randint(0, source.width - side), generator.randint(0, source.height - side)
        out.append(np.asarray(source.resize((size, size), box=(left, top, left + side, top + side))))
    return np.stack(out)


def ours(arrays: np.ndarray, size: int) -> Iterator[torch.Tensor]:
    part = two_crops(
        3, size, min_scale=SCALE[0], jitter=JITTER, jitter_prob=JITTER_PROB, gray_prob=GRAY_PROB, blur_prob=BLUR_PROB,
        blur_sigma=SIGMA,
    )  # fmt: skip
    part.augments = {"a": part.augments["a"]}  # one view per image, as for the peers
    image, ids, epoch = torch.from_numpy(arrays).permute(0, 3, 1, 2).contiguous(), torch.arange(BATCH), 0
    while True:
        yield part({"image": image}, Draws(0, epoch, ids))["a"]
        epoch += 1


def run(rounds: int, seconds: float) -> dict[str, Any]:
    torch.set_num_threads(THREADS)
    facts = machine()
    python = peers_python("augment")
    if python is None:
        print("comparing with Pillow alone")
    peers = Peers(python or sys.executable)
    known = peers.ask(form="forms")
    forms = [OURS, *known["forms"]]
    samples: dict[int, dict[str, list[dict[str, float]]]] = {s: {f: [] for f in forms} for s in SIZES}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            np.save(Path(folder) / f"{size}.npy", photographs(size))
        for turn in range(rounds):
            for size in SIZES:
                path = str(Path(folder) / f"{size}.npy")
                for form in forms if turn % 2 == 0 else forms[::-1]:
                    if form == OURS:
                        found = measure(ours(np.load(path), size), seconds)
                    else:
                        found = peers.ask(form=form, size=size, images=path, seconds=seconds)
                    samples[size][form].append(found)
    packages = ("likewise", "torch", "numpy", "scikit-learn", "pillow")
    results = {str(s): {f: summary(samples[s][f]) for f in forms} for s in SIZES}
    for table in results.values():
        table["times"] = {name: times(table, name) for name in ("torchvision", "Pillow") if times(table, name)}
    return {
        "what": "views per second, SimCLR recipe, RGB, batch 256",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": facts,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "peer_versions": known["versions"],
        "rounds": rounds,
        "sizes": results,
    }


def times(table: dict[str, Any], peer: str) -> float | None:
    """Our images per second over those of the peer's best form, None where it didn't run."""
    rates = [table[form]["images_per_s"] for form in table if form.startswith(peer)]
    return table[OURS]["images_per_s"] / max(rates) if rates else None


def summary(samples: list[dict[str, float]]) -> dict[str, Any]:
    rates = [s["images_per_s"] for s in samples]
    mean, std = (statistics.mean(s[name] for s in samples) for name in ("mean", "std"))
    return {"images_per_s": statistics.median(rates), "runs": rates, "output_mean": mean, "output_std": std}


def forms_of(results: dict[str, Any]) -> list[str]:
    return [form for form in next(iter(results["sizes"].values())) if form != "times"]


def show(results: dict[str, Any]) -> None:
    tables, forms = results["sizes"].values(), forms_of(results)
    width = max(map(len, forms))
    print(f"{'images per second':{width}}" + "".join(f"{s + ' px':>12}" for s in results["sizes"]))
    for form in forms:
        print(f"{form:{width}}" + "".join(f"{table[form]['images_per_s']:12,.0f}" for table in tables))
    peers = list(next(iter(tables))["times"])
    for peer in peers:
        print(f"{'likewise / best of ' + peer:{width}}" + "".join(f"{t['times'][peer]:11.1f}x" for t in tables))
    usual = peers[0]
    verdict = "met" if min(table["times"][usual] for table in tables) >= TARGET else "NOT met"
    print(f"target: at least {TARGET:g} times the usual pipeline of one image at a time ({usual}): {verdict}")


def draw(results: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tables = results["sizes"]
    forms = forms_of(results)
    figure, axes = plt.subplots(1, len(tables), figsize=(11, 3.2), sharey=True, layout="constrained", squeeze=False)
    for axis, (size, table) in zip(axes[0], tables.items()):
        rates = [table[f]["images_per_s"] for f in forms]
        bars = axis.barh(forms, rates, color=["#c2410c" if f == OURS else "#94a3b8" for f in forms])
        axis.bar_label(bars, labels=[f"{r:,.0f}" for r in rates], padding=3, fontsize=8)
        axis.set(title=f"{size} x {size} RGB", xlim=(0, 1.25 * max(rates)))
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(axis="x", labelsize=8)
    axes[0, 0].invert_yaxis()
    figure.supxlabel(f"views per second, {results['machine']['cpu']}, {THREADS} cores", fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each form and size")
    parser.add_argument("--seconds", type=float, default=0.5, help="at least this long each")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the results")
    arguments = parser.parse_args()
    results = run(arguments.rounds, arguments.seconds)
    show(results)
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1)
    (arguments.out / "augment.json").write_text(text + "\n", encoding="utf-8")
    draw(results, arguments.out / "augment.png")
    print(f"wrote {arguments.out / 'augment.json'} and augment.png")


if __name__ == "__main__":
    main()
