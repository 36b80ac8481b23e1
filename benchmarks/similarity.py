"""Contrastive losses, forward and backward: time and memory of likewise, plain torch and other packages, in one run.

    python benchmarks/similarity.py            # about 20 minutes on 2 cores; goes on where it was interrupted
    python benchmarks/similarity.py --quick    # small sizes, a minute or two

NT-Xent compares 2 x n rows with each other, CLIP n rows with n others in both directions. Every measurement is a fresh
process with --threads: a step on 16 rows first, then one step whose highest resident memory counts over that of the
process with the inputs in place, then the timed steps, whose median is reported (3 to 300 of them in about 2 seconds;
1 where a step takes over 8 seconds; over 20, the first step is the timed one). Peers run in an environment of their
own, made on the first run under .peers/. What would not fit into memory is not run, but estimated from the size before.

Writes similarity.json, .md and .png to benchmarks/results (--quick: to build/benchmarks).
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peers import HERE, machine, peers_python
from similarity_peers import FORMS, has_bfloat16
from similarity_report import draw, markdown, show

SMALL, SIZES, HUGE, DIMS = (32, 64, 128, 256), (512, 2048, 8192, 32768), 65536, (128, 512)
QUICK = (32, 256, 512)
OURS, BFLOAT16, PML = "likewise", "likewise, bfloat16 tiles", "pytorch-metric-learning"
LINEAR = {OURS, BFLOAT16, "sentence-transformers, cached"}
"""Forms whose memory grows with the rows; others' with the square, pytorch-metric-learning's with the cube."""
START = 60.0
"""Seconds for a process to import what it measures, before the time limit counts."""
MEMORY_SHARE = 0.85
"""Of the memory that is available, what a loss may take."""


@dataclass(frozen=True)
class Cell:
    """One measurement; ``rows`` are of each view."""

    loss: str
    rows: int
    dim: int
    form: str

    def __str__(self) -> str:
        return f"{self.loss} 2x{self.rows} of {self.dim}: {self.form}"

    def growth(self, rows: int) -> tuple[float, float]:
        """How many times the memory and the time of the same form at fewer ``rows`` this one takes."""
        ratio = self.rows / rows
        power = 1 if self.form in LINEAR else 3 if self.form == PML else 2
        return ratio**power, ratio ** max(2, power)


def cells(quick: bool, peers: bool, only: list[str]) -> Iterator[Cell]:
    """What is measured, small sizes first."""
    for loss, forms in FORMS.items():
        for dim in DIMS[:1] if quick else DIMS:
            small, sizes = (QUICK[:1], QUICK[1:]) if quick else (SMALL if dim == DIMS[0] else (), SIZES)
            alone = (HUGE,) if dim == DIMS[0] and loss == "NT-Xent" and not quick else ()
            for rows in (*small, *sizes, *alone):
                for form, (package, _) in forms.items():
                    cell = Cell(loss, rows, dim, form)
                    own = package in ("likewise", "torch")
                    # the peer with cubic memory shows it in small sizes already
                    wanted = form == OURS if rows in alone else own or rows in sizes or (form == PML and rows >= 128)
                    if form == BFLOAT16 and (rows not in sizes or not has_bfloat16()):
                        continue
                    if wanted and (own or peers) and all(part in str(cell) for part in only):
                        yield cell


def available() -> float:
    """Bytes of memory that a process can still get."""
    path = Path("/proc/meminfo")
    if path.is_file():
        return next(int(x.split()[1]) * 1024.0 for x in path.read_text().splitlines() if x.startswith("MemAvailable"))
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def ask(python: str, seconds: float, threads: int, **task: Any) -> dict[str, Any]:
    """A measurement in a process of its own; what went wrong under ``failed``."""
    wanted = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    environment = os.environ | wanted | {"PYTHONWARNINGS": "ignore", "TOKENIZERS_PARALLELISM": "false"}
    command = [python, str(HERE / "similarity_peers.py"), json.dumps(task)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=START + seconds)
    except subprocess.TimeoutExpired:
        return {"failed": f"stopped after {START + seconds:.0f} s", "takes_seconds": seconds}
    except OSError as error:
        return {"failed": str(error)}
    if done.returncode:
        killed = f"ended by signal {-done.returncode}" if done.returncode < 0 else "ended without an answer"
        return {"failed": (done.stderr.strip().splitlines() or [killed])[-1][:300]}
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        return {"failed": f"no answer: {done.stdout[-100:]!r}"}


def before(cell: Cell, found: dict[Cell, dict[str, Any]]) -> tuple[float, float]:
    """Memory and time to expect, from the next smaller size of the same form; 0 if there is none."""
    smaller = [c for c in found if (c.loss, c.form) == (cell.loss, cell.form) and c.rows < cell.rows]
    if not smaller:
        return 0.0, 0.0
    nearest = max(smaller, key=lambda c: (c.rows, c.dim == cell.dim))
    result, (memory, seconds) = found[nearest], cell.growth(nearest.rows)
    needs = result.get("extra_bytes") or result.get("needs_bytes") or 0.0
    return needs * memory, (result.get("seconds") or result.get("takes_seconds") or 0.0) * seconds


@dataclass(frozen=True)
class Limits:
    """What a measurement may take: seconds, bytes, threads; and the interpreter that has the peers."""

    seconds: float
    memory: float
    threads: int
    peers: str | None


def measured(cell: Cell, found: dict[Cell, dict[str, Any]], limits: Limits) -> dict[str, Any]:
    """The result of a cell; one that can't work within the limits isn't tried."""
    needs, takes = before(cell, found)
    memory = min(limits.memory, MEMORY_SHARE * available())
    if needs > memory:
        about = f"{needs / 1e9:,.0f} GB" if needs < 1e12 else f"{needs / 1e12:,.1f} TB"
        return {"failed": f"does not fit: about {about}", "needs_bytes": needs}
    if takes > limits.seconds:
        return {"failed": f"not started: about {takes:,.0f} s", "takes_seconds": takes}
    own = FORMS[cell.loss][cell.form][0] in ("likewise", "torch")
    python = sys.executable if own else limits.peers
    if python is None:
        return {"failed": "no environment for peers"}
    answer = ask(python, limits.seconds, limits.threads, **asdict(cell), memory=memory)
    if answer.pop("out_of_memory", False):
        answer["needs_bytes"] = max(needs, memory)
    return answer


class Results:
    """What is known so far, on disk after every measurement."""

    def __init__(self, path: Path, about: dict[str, Any], fresh: bool) -> None:
        self.path, self.about, self.found = path, about, {}
        if path.is_file() and not fresh:
            old = json.loads(path.read_text(encoding="utf-8"))
            same = all(old.get(key) == about[key] for key in ("plan", "versions", "peer_versions", "python"))
            if same and not old["complete"] and old["machine"]["cpu"] == about["machine"]["cpu"]:
                self.about = {key: old[key] for key in about}
                self.found = {Cell(**{k: one.pop(k) for k in Cell.__annotations__}): one for one in old["cells"]}

    def as_json(self, complete: bool) -> dict[str, Any]:
        """One record per cell."""
        return {**self.about, "complete": complete, "cells": [{**asdict(c), **r} for c, r in self.found.items()]}

    def write(self, complete: bool = False) -> None:
        """Replace the file in one go."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".part")
        draft.write_text(json.dumps(self.as_json(complete), indent=1) + "\n", encoding="utf-8")
        draft.replace(self.path)


def said(result: dict[str, Any]) -> str:
    """A result in a few words."""
    if "failed" in result:
        return str(result["failed"])
    memory = "" if result["extra_bytes"] is None else f", {result['extra_bytes'] / 1e6:,.0f} MB extra"
    return f"{result['seconds']:.4g} s (median of {result['runs']}){memory}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, for a try")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="cells whose name has it; repeatable"
    )
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="other packages as well")
    parser.add_argument("--threads", type=int, default=2, help="of every measurement")
    parser.add_argument("--fresh", action="store_true", help="start over, even if the last run was interrupted")
    parser.add_argument("--seconds", type=float, help="a measurement that takes longer is stopped (240; --quick: 30)")
    parser.add_argument("--show", action="store_true", help="measure nothing: table and figure of the last results")
    parser.add_argument("--out", type=Path, help="folder of the results")
    arguments = parser.parse_args()
    partial = arguments.quick or arguments.only
    out = arguments.out or (HERE.parent / "build" / "benchmarks" if partial else HERE / "results")
    path = out / "similarity.json"
    if arguments.show:
        report(json.loads(path.read_text(encoding="utf-8")), out)
        return
    python = peers_python("similarity") if arguments.peers else None
    memory, seconds = (4e9, 30.0) if arguments.quick else (float("inf"), 240.0)
    limits = Limits(arguments.seconds or seconds, memory, arguments.threads, python)
    about = {
        "what": "forward and backward of contrastive losses, float32; rows are of each of the two views",
        "plan": {name: getattr(arguments, name) for name in ("quick", "only", "peers", "threads")},
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine() | {"memory_bytes": available(), "threads": limits.threads},
        "python": platform.python_version(),
        "versions": ask(sys.executable, 60, limits.threads, loss="versions"),
        "peer_versions": ask(python, 60, limits.threads, loss="versions") if python else {},
        "product_rate": {},
    }
    results = Results(path, about, arguments.fresh)
    if (about["machine"]["load_before"] or 0) > 0.5:
        print(f"the machine is busy (load {about['machine']['load_before']:.1f}): times will be too long")
    wanted = list(cells(arguments.quick, python is not None, arguments.only))
    for dim in sorted({cell.dim for cell in wanted}):
        if str(dim) not in results.about["product_rate"]:
            results.about["product_rate"][str(dim)] = ask(sys.executable, 60, limits.threads, loss="product", dim=dim)
            results.write()
    for number, cell in enumerate(wanted, 1):
        known = results.found.get(cell)
        if known is None:
            known = results.found[cell] = measured(cell, results.found, limits)
            results.write()
        print(f"[{number}/{len(wanted)}] {cell}: {said(known)}", flush=True)
    results.write(complete=True)
    report(results.as_json(complete=True), out)


def report(record: dict[str, Any], out: Path) -> None:
    """The results on the terminal, as Markdown and as a figure."""
    show(record)
    (out / "similarity.md").write_text(markdown(record), encoding="utf-8")
    draw(record, out / "similarity.png")
    print(f"{out / 'similarity.json'}, similarity.md and similarity.png")


if __name__ == "__main__":
    main()
