"""The contract of a method that is an analysis: variations of recipes -> a table and a figure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Variation:
    """One cell of a study: a recipe of ``method`` with some settings changed, under a seed."""

    method: str
    settings: Mapping[str, Any]
    seed: int
    size: str = "small"


@dataclass(frozen=True)
class Finding:
    """What a study found: rows of one table, how to draw them, and a sentence that reads them aloud."""

    rows: Sequence[Mapping[str, Any]]
    x: str
    y: tuple[str, ...]
    reading: str
    series: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Study(Protocol):
    """Lists the runs that it needs and reads their results."""

    def variations(self, seeds: Sequence[int]) -> Iterable[Variation]:
        """The runs to make."""
        ...

    def read(self, results: Sequence[tuple[Variation, Mapping[str, float]]]) -> Finding:
        """The finding, from each variation's metrics."""
        ...
