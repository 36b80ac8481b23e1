"""Memory and time of a SimCLR step with a very large batch: gradient caching and tiled reductions together.

    python benchmarks/large_batch.py

A fresh process trains SimCLR on a small convnet for one step with every image of a set in one batch, both views
contrasted with all others: 16,384 and 32,768 images of 32 x 32 (crops of scikit-learn's two photographs), so 32,768
and 65,536 rows. ``micro`` images at a time go through the network; the gradient is that of the whole batch. Peak
resident memory is what the operating system reports for that process, Python, PyTorch and the data included.

Writes benchmarks/results/large_batch.json.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from peers import machine

HERE = Path(__file__).resolve().parent
SIDE = 32
LIMIT_GB = 4.0


def crops(count: int) -> np.ndarray:
    """Crops of real photographs, uint8 ``(count, 32, 32, 3)``."""
    generator = random.Random(0)
    sources = [Image.fromarray(x) for x in load_sample_images().images]
    out = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
    for i in range(count):
        source = sources[i % len(sources)]
        side = generator.randint(SIDE, min(source.size))
        left, top = generator.randint(0, source.width - side), generator.randint(0, source.height - side)
        out[i] = np.asarray(source.resize((SIDE, SIDE), box=(left, top, left + side, top + side)))
    return out


def child(samples: int, micro: int) -> None:
    """Train one step and print what it took."""
    import torch

    import likewise
    from likewise.data.resolve import from_object
    from likewise.train.events import read_events

    images = from_object(crops(samples), test_share=0.0)
    before = peak_gb()
    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {"batch": samples, "micro": micro, "epochs": 1, "probe_every": 0}
        run = likewise.fit(images, "simclr", out=Path(folder) / "run", quiet=True, settings=list(settings.items()))
        step = next(event for event in read_events(run.path / "events.jsonl") if event["event"] == "step")
        found = {
            "peak_gb": peak_gb(),
            "peak_before_training_gb": before,
            "seconds": samples / step["samples_per_s"],
            "loss": step["loss"],
            "encoder": run.recipe.to_json()["learner"]["settings"]["encoder"],
            "threads": torch.get_num_threads(),
        }
    print(json.dumps(found))


def peak_gb() -> float:
    """The most resident memory that this process ever had, in 10^9 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def measure(samples: int, micro: int) -> dict[str, Any]:
    """One step in a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--child", f"--samples={samples}", f"--micro={micro}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    return {"rows": 2 * samples, "micro": micro, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--samples", type=int, nargs="+", default=[16_384, 32_768], help="images in the batch; two rows of each"
    )
    parser.add_argument("--micro", type=int, default=512, help="images that go through the network at a time")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the result")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.samples[0], arguments.micro)
        return
    facts = machine()
    steps = [measure(samples, arguments.micro) for samples in arguments.samples]
    small = measure(arguments.micro // 2, 0)
    results = {
        "what": "one SimCLR step of a small convnet, peak resident memory of the whole process",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": facts,
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("likewise", "torch", "numpy")},
        "image_side": SIDE,
        "limit_gb": LIMIT_GB,
        "steps": steps,
        "ordinary_step": small,
    }
    for name, found in (*(("gradient caching", step) for step in steps), ("ordinary step", small)):
        print(f"{name}: {found['rows']:,} rows, peak {found['peak_gb']:.2f} GB, {found['seconds']:.1f} s")
    met = all(step["peak_gb"] < LIMIT_GB for step in steps)
    print(f"target: below {LIMIT_GB:g} GB: {'met' if met else 'NOT met'}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "large_batch.json"
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
