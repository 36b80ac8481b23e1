"""Forward + backward of NT-Xent and CLIP on an NVIDIA GPU in bfloat16: likewise against plain torch and others.

    python benchmarks/similarity_gpu.py

Rows are 2 x 4096 to 2 x 65536, 128 or 512 wide. Everybody gets the same unit rows in bfloat16 and gives their
gradients; times are medians by CUDA events. ``plain`` is the loss on the whole matrix, ``compiled`` the same through
torch.compile, ``Inf-CL`` its own kernel where the package ``inf_cl`` can be imported (CLIP alone). The measured rate of
a bfloat16 matrix product stands beside it: the share that a loss reaches counts the products that it needs, 2 for one
set of rows (every tile above the diagonal serves twice) and 3 for two sets (the product, and one for each gradient).

Writes benchmarks/results/similarity_gpu.json.
"""

import datetime
import importlib.util
import json
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from likewise.similarity import Self, both_lse, cross_entropy

RESULTS = Path(__file__).resolve().parent / "results" / "similarity_gpu.json"
ROWS = (4096, 16384, 65536)
WIDTHS = (128, 512)
TEMPERATURE = 0.1
Loss = Callable[[Tensor, Tensor], Tensor]


def our_nt_xent(a: Tensor, b: Tensor) -> Tensor:
    rows = torch.cat([a, b])
    target = torch.arange(len(rows), device=rows.device).roll(len(a))
    return cross_entropy(rows, None, target, scale=1 / TEMPERATURE, drop=[Self()]).mean()


def our_clip(a: Tensor, b: Tensor) -> Tensor:
    by_row, by_col = both_lse(a, b, scale=1 / TEMPERATURE)
    return (by_row + by_col).mean() / 2 - (a.float() * b.float()).sum(1).mean() / TEMPERATURE


def plain_nt_xent(a: Tensor, b: Tensor) -> Tensor:
    rows = torch.cat([a, b])
    logits = (rows @ rows.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits.float(), torch.arange(len(rows), device=rows.device).roll(len(a)))


def plain_clip(a: Tensor, b: Tensor) -> Tensor:
    logits, target = (a @ b.T / TEMPERATURE).float(), torch.arange(len(a), device=a.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def inf_cl_clip(a: Tensor, b: Tensor) -> Tensor:
    from inf_cl import cal_flash_loss

    return (cal_flash_loss(a, b, scale=1 / TEMPERATURE) + cal_flash_loss(b, a, scale=1 / TEMPERATURE)).mean() / 2


def milliseconds(run: Callable[[], object], turns: int = 7) -> float:
    """Median of several runs after two that do not count."""
    times = []
    for turn in range(turns + 2):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        if turn >= 2:
            times.append(start.elapsed_time(end))
    return statistics.median(times)


def measured(loss: Loss, a: Tensor, b: Tensor) -> dict[str, Any]:
    """Time, extra memory and value of forward and backward, or why there is none."""

    def step() -> Tensor:
        a.grad = b.grad = None
        value = loss(a, b)
        value.backward()
        return value

    try:
        torch.cuda.empty_cache()
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        value = float(step().detach())
        taken = milliseconds(step)
    except torch.cuda.OutOfMemoryError:
        return {"failed": "out of memory"}
    except Exception as error:  # a peer's failure is a result
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    return {"ms": taken, "extra_mb": (torch.cuda.max_memory_allocated() - held) / 2**20, "value": value}


def product_rate(width: int) -> float:
    """TFLOP/s of a bfloat16 matrix product with an inner side of 8192, the better of two shapes."""
    rates = []
    for side in (8192, max(width, 4096)):
        x, y = (torch.randn(8192, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        rates.append(2 * 8192 * 8192 * side / milliseconds(lambda x=x, y=y: x @ y.T) / 1e9)
    return max(rates)


def main() -> None:
    if not torch.cuda.is_available():
        print("similarity_gpu needs a CUDA GPU, and torch finds none here: nothing measured")
        return
    losses: dict[str, dict[str, Loss]] = {
        "nt_xent": {"likewise": our_nt_xent, "plain": plain_nt_xent, "compiled": torch.compile(plain_nt_xent)},
        "clip": {"likewise": our_clip, "plain": plain_clip, "compiled": torch.compile(plain_clip)},
    }
    if importlib.util.find_spec("inf_cl") is not None:
        losses["clip"]["Inf-CL"] = inf_cl_clip
    rate, cells = product_rate(max(WIDTHS)), []
    for width in WIDTHS:
        for n in ROWS:
            generator = torch.Generator("cuda").manual_seed(0)
            a, b = (torch.randn(n, width, device="cuda", generator=generator) for _ in range(2))
            a, b = (F.normalize(x, dim=1).bfloat16().requires_grad_() for x in (a, b))
            for name, forms in losses.items():
                work = 2 * 2 * (2 * n) ** 2 * width if name == "nt_xent" else 3 * 2 * n * n * width
                for form, loss in forms.items():
                    found = measured(loss, a, b)
                    if "ms" in found:
                        found["share_of_product_rate"] = work / found["ms"] / 1e9 / rate
                    cells.append({"loss": name, "rows": f"2 x {n}", "dim": width, "form": form, **found})
                    print(json.dumps(cells[-1]))
    result = {
        "what": "forward + backward, bfloat16 rows, median of 7",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": {"gpu": torch.cuda.get_device_name(), "system": platform.platform()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda},
        "matrix_product_tflops": rate,
        "cells": cells,
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
