"""Equations against recorded numbers: value and gradient of an authors' code on fixed inputs, in float64.

A fixture is an ``.npz`` file of cases: ``case0_z1``, ``case0_temperature``, ``case0_ntxent_loss``,
``case0_ntxent_grad_z1``, ``case1_z1``, ... An adapter is a small module with a function per equation::

    @equation("ntxent_*")
    def ntxent(case):
        a, b = case.leaf("z1"), case.leaf("z2")
        loss = nt_xent(a, b, temperature=case.number("temperature")).mean()
        return case.answer("ntxent", loss)

It reads sizes and parameters from the case and assumes none, so the same adapter runs over other fixtures with the
same keys. A key that is neither read nor answered fails the case: nothing in a fixture goes unchecked by accident.
"""

import importlib.util
import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.core.errors import InputError

Answer = Mapping[str, Tensor | float]
"""Key -> the value or gradient that ours has where the fixture records theirs."""


class Case:
    """One case of a fixture; its inputs as float64 tensors (whole numbers as int64, truth values as bool).

    Args:
        name: like ``"case0"``.
        arrays: key without the case's name -> array.
    """

    def __init__(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        self.name = name
        self._arrays = dict(arrays)
        self._leaves: dict[str, Tensor] = {}
        self.read: set[str] = set()

    @property
    def kind(self) -> str:
        """The name without its number: fixtures may have cases of several kinds."""
        return self.name.rstrip("0123456789")

    @property
    def keys(self) -> list[str]:
        """All keys, without the case's name."""
        return list(self._arrays)

    def has(self, key: str) -> bool:
        """Whether the case has this key."""
        return key in self._arrays

    def array(self, key: str) -> np.ndarray:
        """An input as it is stored."""
        if key not in self._arrays:
            raise KeyError(f"{self.name} has no {key!r}")
        self.read.add(key)
        return self._arrays[key]

    def tensor(self, key: str) -> Tensor:
        """An input without gradient."""
        return _tensor(self.array(key))

    def leaf(self, key: str, value: Tensor | None = None) -> Tensor:
        """An input whose gradients :meth:`answer` looks for; ``value`` stands for it where it is first changed."""
        self._leaves[key] = (self.tensor(key) if value is None else value.detach()).requires_grad_()
        return self._leaves[key]

    def number(self, key: str) -> Any:
        """A scalar input: float, int, bool or str."""
        return self.array(key).item()

    def answer(self, name: str, loss: Tensor, *, value: str | None = "{}_loss", grad: str = "{}_grad_{}") -> Answer:
        """The value of an equation and its gradient at every leaf of which the fixture has one.

        Args:
            name: of the equation in the keys.
            loss: scalar.
            value: pattern of the value's key (name), or None for the gradients alone.
            grad: pattern of the gradients' keys (name, leaf).
        """
        out: dict[str, Tensor | float] = {} if value is None else {value.format(name): loss.detach()}
        wanted = {grad.format(name, key): leaf for key, leaf in self._leaves.items()}
        wanted = {key: leaf for key, leaf in wanted.items() if self.has(key)}
        if wanted:
            leaves = list(wanted.values())
            found = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)
            out |= {k: torch.zeros_like(v) if g is None else g for (k, v), g in zip(wanted.items(), found)}
        return out

    def expected(self, key: str) -> Tensor:
        """What the fixture records."""
        return _tensor(self._arrays[key])

    def fresh(self) -> "Case":
        """The same case, with nothing read yet."""
        return Case(self.name, self._arrays)


def _tensor(array: np.ndarray) -> Tensor:
    if array.dtype.kind not in "fiub":
        raise TypeError(f"an array of {array.dtype} is no tensor; read it with number() or array()")
    kinds = {"f": torch.float64, "i": torch.int64, "u": torch.int64, "b": torch.bool}
    return torch.from_numpy(np.array(array)).to(kinds[array.dtype.kind])


@dataclass(frozen=True)
class Equation:
    """What an adapter's function answers for.

    Attributes:
        run: case -> answers.
        keys: patterns of the keys that it answers, all of those in the case.
        rtol: relative tolerance.
        atol: absolute tolerance, times the largest expected entry where that is above 1.
    """

    run: Callable[[Case], Answer]
    keys: tuple[str, ...]
    rtol: float = 1e-7
    atol: float = 1e-10

    @property
    def name(self) -> str:
        """The function's name."""
        return self.run.__name__

    def answers(self, key: str) -> bool:
        """Whether a key is one of its own."""
        return any(fnmatchcase(key, pattern) for pattern in self.keys)

    def compare(self, case: Case) -> list[str]:
        """What differs, a line each; nothing when the case passes."""
        wanted = [key for key in case.keys if self.answers(key)]
        answers = self.run(case)
        lines = [f"{key}: not answered" for key in wanted if key not in answers]
        lines += [f"{key}: answered, but the equation does not claim it" for key in answers if not self.answers(key)]
        for key in wanted:
            if key in answers:
                lines += _differs(key, answers[key], case.expected(key), self.rtol, self.atol)
        return lines


def _differs(key: str, ours: Tensor | float, theirs: Tensor, rtol: float, atol: float) -> list[str]:
    ours = torch.as_tensor(ours).detach()
    if ours.shape != theirs.shape:
        return [f"{key}: shape {tuple(ours.shape)}, expected {tuple(theirs.shape)}"]
    if not theirs.numel():
        return []
    ours, theirs = ours.double(), theirs.double()
    finite = theirs[theirs.isfinite()].abs()
    scale = max(1.0, float(finite.max())) if finite.numel() else 1.0
    wrong = ~torch.isclose(ours, theirs, rtol=rtol, atol=atol * scale, equal_nan=True)
    if not wrong.any():
        return []
    at = tuple(wrong.nonzero()[0].tolist())
    first = f"{ours[at]:.12g}{f' at {at}' if at else ''}, expected {theirs[at]:.12g}"
    return [f"{key}: {int(wrong.sum())} of {wrong.numel()} differ, first {first}"]


def equation(
    *keys: str, rtol: float = 1e-7, atol: float = 1e-10
) -> Callable[[Callable[[Case], Answer]], Callable[[Case], Answer]]:
    """Mark a function of an adapter as the one that answers for keys that match these patterns.

    It runs on the cases that have such keys, and has to answer every one of them. Keys whose absence would make the
    function fail belong to a function of their own.
    """

    def mark(function: Callable[[Case], Answer]) -> Callable[[Case], Answer]:
        function._equation = Equation(function, keys, rtol, atol)  # type: ignore[attr-defined]
        return function

    return mark


@dataclass(frozen=True)
class Adapter:
    """The functions of one adapter module.

    Attributes:
        equations: in the order of the file.
        unchecked: key pattern -> why nothing answers for it (the module's ``UNCHECKED``).
    """

    equations: tuple[Equation, ...]
    unchecked: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Adapter":
        """The adapter in a Python file."""
        name = f"_oracle_adapter_{path.stem.replace('-', '_')}"
        found = importlib.util.spec_from_file_location(name, path)
        if found is None or found.loader is None:
            raise InputError(f"no adapter at {path}")
        module = sys.modules[name] = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return cls.of(module)

    @classmethod
    def of(cls, module: ModuleType) -> "Adapter":
        """The adapter that a module is."""
        made = [v._equation for v in vars(module).values() if hasattr(v, "_equation")]
        return cls(tuple(made), getattr(module, "UNCHECKED", {}))

    def pairs(self, cases: Iterable[Case]) -> list[tuple[Case, Equation]]:
        """Every case with every equation that answers for some of its keys."""
        return [(c, e) for c in cases for e in self.equations if any(map(e.answers, c.keys))]

    def uncovered(self, case: Case) -> list[str]:
        """Keys that no equation answers or reads, and that are not listed as unchecked."""
        covered = {key for key in case.keys if any(fnmatchcase(key, p) for p in self.unchecked)}
        for one in self.equations:
            answered = {key for key in case.keys if one.answers(key)}
            if answered:
                copy = case.fresh()
                one.run(copy)
                covered |= answered | copy.read
        return sorted(set(case.keys) - covered)


def cases(path: Path) -> list[Case]:
    """The cases of a fixture file, in the order of their numbers. A key without a case's name is in every case.

    Raises:
        InputError: it is no such file, or has no case.
    """
    try:
        # from memory: a damaged file would otherwise stay open
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
            arrays = {key: held[key] for key in held.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"{path} is no readable fixture: {error}") from error
    found: dict[str, dict[str, np.ndarray]] = {}
    loose: dict[str, np.ndarray] = {}
    for key, array in arrays.items():
        match = re.fullmatch(r"([a-z]+\d+)_(.+)", key)
        if match is None:
            loose[key] = array
        else:
            found.setdefault(match[1], {})[match[2]] = array
    if not found:
        if loose:
            raise InputError(f"{path}: key {next(iter(loose))!r} belongs to no case (case0_..., case1_...)")
        raise InputError(f"{path} holds no case")
    found = {name: loose | own for name, own in found.items()}
    by_number = sorted(found, key=lambda n: (n.rstrip("0123456789"), int(re.findall(r"\d+$", n)[0])))
    return [Case(name, found[name]) for name in by_number]
