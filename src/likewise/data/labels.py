"""Labels and splits as people write them -> tensors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.core.errors import InputError

TRAIN = frozenset({"train", "training"})
TEST = frozenset({"test", "testing"})
VALIDATION = frozenset({"val", "valid", "validation", "dev"})


def encode(values: Sequence[Any] | np.ndarray, where: str) -> tuple[Tensor, list[str] | None]:
    """Labels as ``(n,)`` int64 class numbers with the classes' names, or ``(n,)`` float32 targets without.

    Whole numbers and words are classes, in numerical or alphabetical order; numbers with a fraction are targets.

    Args:
        values: one label a sample.
        where: for the error message.
    """
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise InputError(f"{where}: labels have shape {array.shape}, expected one a sample: (n,)")
    if array.dtype.kind == "O":
        array = np.asarray([str(v) for v in array.tolist()])
    if array.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(array))
        if len(bad):
            raise InputError(f"{where}: label {array[bad[0]]} in row {bad[0]}; every sample needs a finite one")
        return torch.from_numpy(array.astype(np.float32)), None
    if array.dtype.kind not in "iubUS":
        raise InputError(f"{where}: labels of type {array.dtype} are neither classes nor numbers")
    names, codes = np.unique(array, return_inverse=True)
    said = [n.decode(errors="replace") if isinstance(n, bytes) else str(n) for n in names.tolist()]
    return torch.from_numpy(codes.reshape(-1).astype(np.int64)), said


def encode_text(values: Sequence[str], where: str) -> tuple[Tensor, list[str] | None]:
    """:func:`encode` of words from a text file: whole numbers and fractions are recognised."""
    for i, value in enumerate(values):
        if not value.strip():
            raise InputError(f"{where}: no label in row {i}; every sample needs one")
    for kind in (int, float):
        try:
            return encode(np.asarray([kind(v) for v in values]), where)
        except (ValueError, OverflowError) as error:
            if isinstance(error, InputError):
                raise
    return encode([v.strip() for v in values], where)


def held_out(splits: Sequence[str], where: str) -> Tensor:
    """``(n,)`` bool: rows marked as test. Where nothing is, the validation rows; else these count as training."""
    words = [s.strip().lower() for s in splits]
    for i, word in enumerate(words):
        if word not in TRAIN | TEST | VALIDATION:
            raise InputError(f"{where}: split {splits[i]!r} in row {i} is none of train, test, val")
    chosen = TEST if any(w in TEST for w in words) else VALIDATION
    return torch.tensor([w in chosen for w in words], dtype=torch.bool)
