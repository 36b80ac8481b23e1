"""Where a run computes: one device with nothing extra, or devices and processes through Lightning Fabric.

Both have the same few verbs, so that the loop does not know which one it runs on.
"""

import ctypes
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from likewise.core.comm import Collective, Distributed
from likewise.core.errors import InputError, require

_HALF = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next step instead of giving it back to the system.

    A training step frees and takes the same large blocks over and over; by default each comes fresh from the kernel,
    page by page, which took half of the time of a step (64-pixel images, small convnet, one core: 2.2 s -> 1.1 s for
    128 of them) at 16 % less resident memory. Elsewhere than on glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mmap_threshold, trim_threshold = -3, -1  # names of malloc.h
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_threshold, 1 << 30)
        libc.mallopt(trim_threshold, (1 << 31) - 1)
    except (OSError, AttributeError):
        return  # another C library


class LocalRuntime:
    """One process, one device.

    Args:
        precision: ``"32"``, ``"bf16-mixed"`` or ``"16-mixed"``.
        device: where to compute; the first GPU if there is one, else the CPU.
    """

    def __init__(self, precision: str = "32", device: str | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if self.device.type == "cpu":
            keep_freed_memory()
        self.comm = Collective()
        self.precision = precision
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "16-mixed")

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision for ``encode``."""
        if self.precision == "32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=_HALF[self.precision])

    def launch(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run ``function(runtime, *args)`` on every process; rank 0's result comes back."""
        return function(self, *args)


class FabricRuntime(LocalRuntime):
    """Devices and processes through Lightning Fabric (extra ``distributed``).

    Fabric picks the accelerator, starts the processes and finds clusters' environments. Gradients are averaged by
    the collective after the backward pass, not by a wrapped module: the loss is stated on gathered rows, outside of
    any module's forward.

    Args:
        devices: how many.
        precision: as for :class:`LocalRuntime`.
        accelerator: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"``.
    """

    def __init__(self, devices: int = 1, precision: str = "32", accelerator: str = "auto") -> None:
        fabric = require("lightning_fabric", "distributed", "training on several devices")
        if accelerator == "auto":
            accelerator = "cuda" if torch.cuda.is_available() else "cpu"
        if accelerator == "cuda" and devices > torch.cuda.device_count():
            raise InputError(f"devices={devices}: this machine has {torch.cuda.device_count()} GPU(s)")
        super().__init__(precision, accelerator)
        strategy = "auto" if devices == 1 else "ddp_spawn"
        self.fabric = fabric.Fabric(accelerator=accelerator, devices=devices, strategy=strategy)

    def launch(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run ``function(runtime, *args)`` in as many processes; rank 0's result comes back."""
        return self.fabric.launch(_start, self.precision, function, *args)


def _start(fabric: Any, precision: str, function: Callable[..., Any], *args: Any) -> Any:
    # runs in each process: everything that holds a process group is made here
    runtime = LocalRuntime(precision, str(fabric.device))
    if fabric.world_size > 1:
        runtime.comm = Distributed()
    return function(runtime, *args)


def make_runtime(devices: int, precision: str, fabric: bool = False) -> LocalRuntime:
    """The runtime for so many devices; ``fabric`` asks for Fabric on one device, too."""
    if devices < 1:
        raise InputError(f"devices={devices}: at least 1 is needed")
    if devices == 1 and not fabric:
        return LocalRuntime(precision)
    return FabricRuntime(devices, precision)
