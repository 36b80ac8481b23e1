"""Text as numbers without a vocabulary: words are hashed, so that there is nothing to keep beside a model's weights."""

import re
import zlib
from collections.abc import Sequence

import torch

from likewise.core.batch import Tokens

PAD, USER, ASSISTANT, EMBED, MASK = range(5)
"""Tokens that no text has: ``<pad>``, the turns' beginnings, ``<emb>`` where a sequence is read, ``<mask>``."""
NUM_TOKENS = 2048
"""How many there are of sequences (:func:`words_of`), those included."""
NUM_PIECES = 4096
"""How many there are of bags (:func:`pieces_of`), with ``<pad>``."""
_MOST_WORDS, _MOST_PIECES = 64, 256
_WORDS = re.compile(r"\w+|[^\w\s]")


def words_of(texts: Sequence[Sequence[str]]) -> Tokens:
    """Words in their order of ``n`` times ``k`` texts, ``(n, k, t)``; later ones are cut off."""
    rows = [[_hashed(_words(text)[:_MOST_WORDS], MASK + 1, NUM_TOKENS) for text in each] for each in texts]
    flat = _padded([words for row in rows for words in row])
    shape = (len(rows), len(rows[0]), -1)
    return Tokens(flat.ids.view(shape), flat.mask.view(shape))


def pieces_of(texts: Sequence[str]) -> Tokens:
    """Words, then their runs of three letters, of each text, ``(n, t)``, for encoders that take their mean.

    Misspelt words share pieces with right ones (as in Bojanowski et al., arXiv:1607.04606).
    """
    rows = []
    for text in texts:
        words = _words(text)
        pieces = [f"<{word}>"[i : i + 3] for word in words if len(word) > 1 for i in range(len(word))]
        rows.append(_hashed([*words, *pieces][:_MOST_PIECES], PAD + 1, NUM_PIECES))
    return _padded(rows)


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _hashed(words: Sequence[str], first: int, end: int) -> list[int]:
    return [first + zlib.crc32(word.encode("utf-8", "surrogatepass")) % (end - first) for word in words]


def _padded(rows: Sequence[list[int]]) -> Tokens:
    length = max(1, *map(len, rows)) if rows else 1
    ids = torch.tensor([row + [PAD] * (length - len(row)) for row in rows], dtype=torch.int64).view(len(rows), length)
    return Tokens(ids, ids != PAD)
