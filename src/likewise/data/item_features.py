"""What is known about items, from a table with a row each: numbers, categories, and text."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.core.errors import InputError

ITEMS = (
    "item", "itemid", "iid", "movie", "movieid", "film", "filmid", "product", "productid", "asin", "book", "bookid",
    "isbn", "track", "trackid", "song", "songid", "artist", "artistid", "article", "articleid", "businessid",
)  # fmt: skip
KEYS = ("key", "title", "name", "movietitle", "itemname", "producttitle", "productname", "booktitle")
MOST = 1000
"""Categories of a column, or words of a text, at most: the most frequent."""


def plain(name: Any) -> str:
    """A column's name as it is compared: ``userId``, ``user_id`` and ``user_id:token`` are one."""
    return re.sub(r"[^a-z0-9]", "", str(name).split(":")[0].lower())


def find(columns: Mapping[str, Sequence[Any]], names: Sequence[str]) -> Sequence[Any] | None:
    """The first column with one of these names, the earlier names first; None if there is none."""
    by_name = {plain(column): values for column, values in columns.items()}
    return next((by_name[name] for name in names if name in by_name), None)


@dataclass
class Described:
    """Items by name.

    Attributes:
        row: item -> its row below.
        keys: what people call each item, or nothing.
        features: name -> ``(rows, f)`` float32, nothing below 0: ``"attributes"`` (numbers and categories together),
            and one for each column of text.
    """

    row: dict[str, int]
    keys: list[str]
    features: dict[str, np.ndarray] = field(default_factory=dict)

    def of(self, items: Sequence[str]) -> tuple[dict[str, Tensor], list[str]]:
        """Features and keys of these items; an item that is not described has zeros and its own name.

        Raises:
            InputError: no item is described.
        """
        where = np.array([self.row.get(item, -1) for item in items])
        known = where >= 0
        if not known.any():
            raise InputError(f"the table of items has none of the items, like {items[0]!r}: are its ids the same?")
        out = {}
        for name, values in self.features.items():
            held = np.zeros((len(items), values.shape[1]), np.float32)
            held[known] = values[where[known]]
            out[name] = torch.from_numpy(held)
        return out, unique([self.keys[r] or item if r >= 0 else item for r, item in zip(where.tolist(), items)], items)


def describe(columns: Mapping[str, Sequence[Any]], where: str) -> Described:
    """Items from the columns of a table.

    The item's id comes from a column ``item`` (``item_id``, ``movieId``, ``id``, ...), what people call it from
    ``title`` or ``name``. Every other column is a feature: numbers are scaled to 0..1; cells with ``|`` between words,
    and columns whose values come twice on average, are categories (one column of 0 and 1 each); anything else is
    text, whose words count by TF-IDF.

    Args:
        columns: name -> a value an item; "" or NaN where one is not known.
        where: for the error message.

    Raises:
        InputError: no column of items, or no rows.
    """
    ids = find(columns, (*ITEMS, "id"))
    if ids is None:
        raise InputError(f"{where} has no column named item (or item_id, id); it has {', '.join(map(str, columns))}")
    names = [_text(v) for v in ids]
    if not names:
        raise InputError(f"{where} has a header but no rows")
    if "" in names:
        raise InputError(f"{where}: no item in row {names.index('')}")
    keys = find(columns, KEYS)
    called = [_text(v) for v in keys] if keys is not None else [""] * len(names)
    out = Described({name: row for row, name in reversed(list(enumerate(names)))}, called)
    attributes = []
    for column, values in columns.items():
        if values is ids or plain(column) in ("key", "id"):
            continue
        cells = [_text(v) for v in values]
        numbers = _as_numbers(cells)
        if numbers is not None:
            attributes.append(numbers)
        elif not any(cells):
            continue
        elif plain(column) not in KEYS and _are_categories(cells):
            attributes.append(_categories(cells))
        else:
            words = _words(cells)
            out.features |= {} if words is None else {plain(column): words}
    if attributes:
        out.features = {"attributes": np.concatenate(attributes, 1), **out.features}
    return out


def unique(keys: Sequence[str], ids: Sequence[str]) -> list[str]:
    """The keys, those that several have with the id behind."""
    count = Counter(keys)
    return [key if count[key] == 1 else f"{key} [{name}]" for key, name in zip(keys, ids)]


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()


def _as_numbers(cells: Sequence[str]) -> np.ndarray | None:
    """``(n, 1)`` in 0..1, unknown ones in the middle of the others; None where they are no numbers."""
    try:
        values = np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return None
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    values = np.where(np.isfinite(values), values, known.mean())
    width = known.max() - known.min()
    return ((values - known.min()) / width if width > 0 else np.zeros(len(values)))[:, None].astype(np.float32)


def _are_categories(cells: Sequence[str]) -> bool:
    said = [cell for cell in cells if cell]
    return any("|" in cell for cell in said) or 2 * len(set(said)) <= len(said)


def _categories(cells: Sequence[str]) -> np.ndarray:
    sets = [{word.strip() for word in cell.split("|") if word.strip()} for cell in cells]
    common = [word for word, _ in Counter(word for words in sets for word in sorted(words)).most_common(MOST)]
    place = {word: i for i, word in enumerate(common)}
    out = np.zeros((len(cells), len(common)), np.float32)
    for row, words in enumerate(sets):
        out[row, [place[word] for word in words if word in place]] = 1
    return out


def _words(cells: Sequence[str]) -> np.ndarray | None:
    """TF-IDF of the words that two items have at least; None if there is no such word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        found = TfidfVectorizer(min_df=2, stop_words="english", max_features=MOST).fit_transform(cells)
    except ValueError:  # no word is left
        return None
    return np.asarray(found.toarray(), np.float32)
