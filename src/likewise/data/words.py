"""Text and categories as columns of numbers: a word each, or a value each."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

WORD = re.compile(r"[^\W\d_]{3,}")
"""Words: three letters or more, no digits."""


def bag_of_words(
    texts: Iterable[str], limit: int, *, most: float = 0.5, least: int = 2
) -> tuple[np.ndarray, list[str]]:
    """Which words each text has, ``(n, w)`` float32 of 0 and 1, and the words, those of most texts first.

    Args:
        texts: one a row; case does not matter.
        limit: number of words, at most.
        most: words in more than this share of the texts tell nothing and are left out.
        least: so are words in fewer texts.
    """
    found = [set(WORD.findall(text.lower())) for text in texts]
    counts = Counter(word for words in found for word in words)
    kept = [(word, c) for word, c in counts.items() if least <= c <= most * len(found)]
    chosen = [word for word, _ in sorted(kept, key=lambda pair: (-pair[1], pair[0]))[:limit]]
    at = {word: i for i, word in enumerate(chosen)}
    out = np.zeros((len(found), len(chosen)), np.float32)
    for row, words in enumerate(found):
        out[row, [at[word] for word in words if word in at]] = 1
    return out, chosen


def one_hot(values: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """A column per value, ``(n, v)`` float32 of 0 and 1, and the values in order; "" is no value."""
    names = sorted({value for value in values if value})
    at = {name: i for i, name in enumerate(names)}
    out = np.zeros((len(values), len(names)), np.float32)
    for row, value in enumerate(values):
        if value:
            out[row, at[value]] = 1
    return out, names


def is_category(values: Sequence[str]) -> bool:
    """Whether a text column has few values that come again and again, rather than sentences."""
    return len(set(values)) <= max(2, min(50, len(values) // 10))


def unit_sums(x: np.ndarray) -> np.ndarray:
    """Rows ``(n, w)`` that add up to 1, as the papers' bags of words; rows of zeros stay."""
    return x / np.maximum(x.sum(1, keepdims=True), 1e-12)
