"""What a column of one modality is, and how text becomes tokens without a vocabulary to keep."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch

from likewise.core.batch import Tokens
from likewise.core.errors import InputError

Kind = Literal["image", "text", "vector"]
TOKENS = 4096
"""Numbers that words and pieces of words are hashed to; 0 is no token."""
LONGEST = 256
"""Tokens of a text that are used."""
_WORDS = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Modality:
    """One modality of a data set.

    Attributes:
        name: of the column.
        kind: of its values, which decides about the encoder.
        shape: of one value: ``(c, h, w)`` of an image, ``(f,)`` of a vector, how many tokens there are of a text.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}={self.kind}:{'x'.join(map(str, self.shape))}"

    @classmethod
    def parse(cls, text: str) -> "Modality":
        """Back from the text of one, as recipes hold it.

        Raises:
            InputError: it is none.
        """
        match = re.fullmatch(r"(.+)=(image|text|vector):(\d+(?:x\d+)*)", text, re.DOTALL)
        if match is None:
            raise InputError(f"modality {text!r}: expected NAME=KIND:SHAPE, like photo=image:3x32x32")
        return cls(match[1], cast(Kind, match[2]), tuple(map(int, match[3].split("x"))))


def tokens_of(texts: Sequence[str]) -> Tokens:
    """Words, then their runs of three letters, of each text as hashed numbers; later ones are cut off.

    Nothing has to be kept for new texts to mean the same, and misspelt words share pieces with right ones (as in
    Bojanowski et al., arXiv:1607.04606).
    """
    rows = []
    for text in texts:
        words = _WORDS.findall(text.lower())
        pieces = [f"<{word}>"[i : i + 3] for word in words if len(word) > 1 for i in range(len(word))]
        rows.append([1 + zlib.crc32(piece.encode()) % (TOKENS - 1) for piece in [*words, *pieces]][:LONGEST])
    length = max(1, *map(len, rows)) if rows else 1
    ids = torch.zeros(len(rows), length, dtype=torch.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return Tokens(ids, ids > 0)
