"""How a person's own data become a data set: one reader per modality, which the method's card chooses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from likewise.core.errors import InputError, near
from likewise.data.dataset import Dataset


@dataclass(frozen=True)
class Reader:
    """What is understood as data of one modality.

    Attributes:
        modality: as on cards.
        reads: what files or folders, for messages and help: "a folder with edges.csv and nodes.csv, or an .npz".
        part: the data part that reads a path; its first setting is ``path``.
        from_object: whatever a Python user may have (arrays, frames, lists) -> a data set; raises
            :class:`InputError` for what it does not understand.
    """

    modality: str
    reads: str
    part: Callable[..., Dataset]
    from_object: Callable[[Any], Dataset]


READERS: dict[str, Reader] = {}


def register_reader(reader: Reader) -> Reader:
    """Make a modality's own data readable."""
    held = READERS.get(reader.modality)
    if held is not None and held.part.__qualname__ != reader.part.__qualname__:
        raise ValueError(f"two readers for {reader.modality!r}")
    READERS[reader.modality] = reader
    return reader


def reader(modality: str) -> Reader:
    """The reader of a modality, or an error that lists them."""
    if modality not in READERS:
        raise InputError(f"no reader for data of the modality {modality!r}{near(modality, READERS)}")
    return READERS[modality]
