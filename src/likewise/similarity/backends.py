"""The table of kernels: what a back end provides, one entry per kind of device."""

import importlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from likewise.similarity import attention, backward, forward


@dataclass(frozen=True)
class Kernels:
    """The sweeps of one back end; the eager functions say what each takes and gives, and are its reference.

    Attributes:
        lse_forward: see :func:`likewise.similarity.forward.lse_forward`.
        lse_backward: see :func:`likewise.similarity.backward.lse_backward`.
        attend_forward: see :func:`likewise.similarity.attention.attend_forward`.
        attend_backward: see :func:`likewise.similarity.attention.attend_backward`.
    """

    lse_forward: Callable[..., Any]
    lse_backward: Callable[..., Any]
    attend_forward: Callable[..., Any]
    attend_backward: Callable[..., Any]


EAGER = Kernels(forward.lse_forward, backward.lse_backward, attention.attend_forward, attention.attend_backward)

OLDEST_TRITON = (3, 4)

BACKENDS: dict[str, Kernels] = {}
"""Kernels by device type, where there are others than the eager. GPUs are looked up when one is first used."""


def kernels(device: torch.device) -> Kernels:
    """The kernels for tensors of a device."""
    if device.type == "cuda" and device.type not in BACKENDS:
        BACKENDS[device.type] = _on_gpu(device)
    return BACKENDS.get(device.type, EAGER)


def is_eager(device: torch.device) -> bool:
    """Whether that device has no kernels of its own."""
    return kernels(device) is EAGER


def _on_gpu(device: torch.device) -> Kernels:
    """Triton's kernels, or the eager ones where triton is missing or too old, or the GPU has no bfloat16 products.

    GPUs other than NVIDIA's, which PyTorch calls ``cuda`` as well, stay with the eager ones: nothing was tried on them.
    """
    if torch.version.hip is not None or importlib.util.find_spec("triton") is None:
        return EAGER
    found = importlib.import_module("triton").__version__
    version = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    if version < OLDEST_TRITON or torch.cuda.get_device_capability(device) < (8, 0):
        return EAGER
    from likewise.similarity.triton import KERNELS

    return KERNELS
