"""The losses that similarity.py compares: one measurement in a fresh process, in whichever environment has the loss.

    python similarity_peers.py '{"loss": "NT-Xent", "form": "lightly", "rows": 512, "dim": 128, "memory": 8e9}'

Prints one line of JSON. Rows are of each of the two views (sides), ``memory`` is what the loss may take in bytes,
threads are those of OMP_NUM_THREADS.
Losses get raw embeddings and normalise them, by themselves or here, as their users do.
"""

import contextlib
import ctypes
import gc
import importlib.metadata
import inspect
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from peers import shim

TEMPERATURE, SCALE = 0.1, 20.0
WARM_ROWS = 16
"""Rows of the step before the measurements: libraries start threads and find their kernels."""
MINI_BATCH = 256
"""Rows at a time of sentence-transformers' cached loss; its default of 32 is slower."""

Step = Callable[[Tensor, Tensor], Tensor]


def trained(loss: Callable[[Tensor, Tensor], Tensor]) -> Step:
    """Value and gradients of a loss."""

    def step(a: Tensor, b: Tensor) -> Tensor:
        value = loss(a, b)
        value.backward()
        return value.detach()

    return step


def nt_xent_ours() -> Step:
    from likewise.losses import NTXent

    return trained(NTXent(TEMPERATURE))


def clip_ours() -> Step:
    from likewise.losses import CLIP

    loss = CLIP()
    return trained(lambda a, b: loss(a, b, SCALE))


def in_bfloat16(make: Callable[[], Step]) -> Step:
    from likewise.similarity import using

    step, options = make(), {"precision": "bfloat16"}

    def measured(a: Tensor, b: Tensor) -> Tensor:
        with using("auto", **options):
            return step(a, b)

    return measured


def has_bfloat16() -> bool:
    """Whether the installed library has tiles in half precision."""
    from likewise.similarity import using

    return "precision" in inspect.signature(using).parameters


def stacked(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of all rows against all, without each row itself, and where each row's positive is."""
    rows = F.normalize(torch.cat([a, b]), dim=1)
    logits = (rows @ rows.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    return logits, torch.arange(len(rows)).roll(len(a))


def nt_xent_entropy(a: Tensor, b: Tensor) -> Tensor:
    return F.cross_entropy(*stacked(a, b))


def nt_xent_logsumexp(a: Tensor, b: Tensor) -> Tensor:
    logits, positive = stacked(a, b)
    return (logits.logsumexp(1) - logits.gather(1, positive[:, None]).squeeze(1)).mean()


def lightly() -> Step:
    shim()
    from lightly.loss import NTXentLoss

    return trained(NTXentLoss(TEMPERATURE))


def metric_learning() -> Step:
    from pytorch_metric_learning.losses import NTXentLoss

    loss = NTXentLoss(TEMPERATURE)
    return trained(lambda a, b: loss(torch.cat([a, b]), torch.arange(len(a)).repeat(2)))


def crossed(a: Tensor, b: Tensor) -> Tensor:
    return SCALE * F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def clip_entropy(a: Tensor, b: Tensor) -> Tensor:
    logits, own = crossed(a, b), torch.arange(len(a))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def clip_logsumexp(a: Tensor, b: Tensor) -> Tensor:
    logits = crossed(a, b)
    return ((logits.logsumexp(1) + logits.logsumexp(0)) / 2 - logits.diagonal()).mean()


def open_clip() -> Step:
    shim()
    from open_clip.loss import ClipLoss

    loss = ClipLoss()
    return trained(lambda a, b: loss(F.normalize(a, dim=1), F.normalize(b, dim=1), SCALE))


BOTH = {"scale": SCALE, "directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}


def ranking() -> Step:
    shim()
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    loss = MultipleNegativesRankingLoss(torch.nn.Identity(), **BOTH)
    return trained(lambda a, b: loss.compute_loss_from_embeddings([a, b], None))


def ranking_cached() -> Step:
    """The stage of the cached loss that takes embeddings to their gradients, a mini-batch of rows at a time."""
    shim()
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

    loss = CachedMultipleNegativesRankingLoss(
        torch.nn.Sequential(torch.nn.Identity()), mini_batch_size=MINI_BATCH, **BOTH
    )
    return lambda a, b: loss.calculate_loss([[a], [b]], with_backward=True)


Make = Callable[[], Step]
FORMS: dict[str, dict[str, tuple[str, Make]]] = {
    "NT-Xent": {
        "likewise": ("likewise", nt_xent_ours),
        "likewise, bfloat16 tiles": ("likewise", lambda: in_bfloat16(nt_xent_ours)),
        "plain torch, cross_entropy": ("torch", lambda: trained(nt_xent_entropy)),
        "plain torch, logsumexp": ("torch", lambda: trained(nt_xent_logsumexp)),
        "lightly": ("lightly", lightly),
        "pytorch-metric-learning": ("pytorch-metric-learning", metric_learning),
    },
    "CLIP": {
        "likewise": ("likewise", clip_ours),
        "likewise, bfloat16 tiles": ("likewise", lambda: in_bfloat16(clip_ours)),
        "plain torch, cross_entropy": ("torch", lambda: trained(clip_entropy)),
        "plain torch, logsumexp": ("torch", lambda: trained(clip_logsumexp)),
        "open_clip": ("open_clip_torch", open_clip),
        "sentence-transformers": ("sentence-transformers", ranking),
        "sentence-transformers, cached": ("sentence-transformers", ranking_cached),
    },
}
"""By loss and form: the package that must be there, and what makes the step."""


def inputs(rows: int, dim: int) -> tuple[Tensor, Tensor]:
    """Two views, the same ones for everybody."""
    generator = torch.Generator().manual_seed(0)
    a, noise = (torch.randn(rows, dim, generator=generator) for _ in range(2))
    return a.requires_grad_(), noise.mul_(2.0).add_(a.detach()).requires_grad_()


def status(name: str) -> int:
    """A number of bytes that the kernel keeps of this process."""
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(name + ":"))


class Peak:
    """Highest resident memory from here on, over that of now."""

    def __init__(self) -> None:
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):  # freed memory that is still resident would hide ours
            ctypes.CDLL("libc.so.6").malloc_trim(0)
        self.known = Path("/proc/self/clear_refs").exists()
        if self.known:
            with contextlib.suppress(OSError):  # where it isn't allowed, the highest so far stands in
                Path("/proc/self/clear_refs").write_text("5")
            self.before = status("VmRSS")

    def extra(self) -> int | None:
        return max(0, status("VmHWM") - self.before) if self.known else None


def limit_memory(extra: float) -> None:
    """No more than ``extra`` bytes from here on; should memory run out all the same, this process is the one to go."""
    import resource

    allowed = status("VmSize") + int(extra)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def timed(step: Step, a: Tensor, b: Tensor) -> tuple[float, Tensor]:
    a.grad = b.grad = None
    start = time.perf_counter()
    value = step(a, b)
    return time.perf_counter() - start, value


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Median time of a step after the first one, and the extra memory of the first one."""
    step = FORMS[task["loss"]][task["form"]][1]()
    timed(step, *inputs(WARM_ROWS, task["dim"]))
    a, b = inputs(task["rows"], task["dim"])
    if sys.platform == "linux":
        limit_memory(task["memory"])
    peak = Peak()
    first, value = timed(step, a, b)
    extra = peak.extra()
    # a step of many seconds needs no warm-up of its own
    count = 0 if first > 20 else 1 if first > 8 else max(3, min(300, int(2 / first)))
    runs = [timed(step, a, b)[0] for _ in range(count)] or [first]
    return {
        "seconds": statistics.median(runs),
        "runs": len(runs),
        "fastest": min(runs),
        "slowest": max(runs),
        "extra_bytes": extra,
        "value": float(value),
        "gradient": float(torch.linalg.vector_norm(a.grad)),  # tells whether everybody computes the same
    }


def product_rate(dim: int) -> dict[str, float]:
    """Operations per second of matrix products with an inner size of ``dim``: in 512-row tiles, and a large one."""
    blocks = torch.randn(16, 512, dim)
    tile = torch.empty(512, 512)
    large, out = torch.randn(2048, 2048), torch.empty(2048, 2048)

    def tiles() -> None:
        for left in blocks:
            for right in blocks:
                torch.mm(left, right.T, out=tile)

    found = {}
    for name, work, operations in (
        ("tiles", tiles, 2 * 512 * 512 * dim * len(blocks) ** 2),
        ("large", lambda: torch.mm(large, large, out=out), 2 * 2048**3),
    ):
        work()
        runs: list[float] = []
        while len(runs) < 3 or sum(runs) < 2:
            start = time.perf_counter()
            work()
            runs.append(time.perf_counter() - start)
        found[name] = operations / min(runs)  # what the machine can do
    return found


def known() -> dict[str, Any]:
    """Versions of the packages that are here."""
    versions = {}
    for name in sorted({"torch", *(package for forms in FORMS.values() for package, _ in forms.values())}):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
    task = json.loads(sys.argv[1])
    try:
        if task["loss"] == "versions":
            answer = known()
        elif task["loss"] == "product":
            answer = product_rate(task["dim"])
        else:
            answer = measure(task)
    except (MemoryError, RuntimeError) as error:
        if "allocate memory" not in str(error) and not isinstance(error, MemoryError):
            raise
        answer = {"failed": f"does not fit: more than {task['memory'] / 1e9:.3g} GB", "out_of_memory": True}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
