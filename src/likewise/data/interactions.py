"""Who took what: interactions of users with items, split before anything is made of them.

Rows are interactions with the columns ``"user"``, ``"item"`` (int64 numbers) and ``"part"`` (:data:`TRAIN`,
:data:`VALID` or :data:`TEST`). ``shared["train"]`` ``(2, e)`` holds the training pairs alone: it is all that a graph
can be built from. ``shared["item_features"]`` maps a name to ``(items, f)``. The tables are ``"item"`` and ``"user"``.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor

from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.catalogue import About
from likewise.data.dataset import Dataset
from likewise.data.item_features import ITEMS, Described, describe, find
from likewise.data.readers import Reader, register_reader
from likewise.data.table import frame_columns, read_columns

Split = Literal["auto", "time", "random"]
TRAIN, VALID, TEST = 0, 1, 2

USERS = ("user", "userid", "uid", "customer", "customerid", "member", "memberid", "reviewerid", "visitorid")
RATINGS = ("rating", "ratings", "score", "stars", "overall")
TIMES = ("timestamp", "time", "date", "datetime", "unixreviewtime", "ts")
BESIDE = ("items.csv", "items.tsv", "items.parquet")


@part("data")
def interactions(
    path: str,
    items: str = "",
    threshold: float = 4.0,
    core: int = 1,
    split: Split = "auto",
    held_out: float = 0.1,
    split_seed: int = 0,
) -> Dataset:
    """The interactions that a CSV, TSV or Parquet file lists, one a row.

    Columns by their usual names: ``user`` (``user_id``, ``userId``, ...), ``item`` (``movieId``, ``product_id``,
    ``asin``, ...), and if there are any ``rating`` and ``timestamp`` (seconds, or ISO dates). A pair that is listed
    twice counts once, with its first time.

    Args:
        path: of the table.
        items: a table that describes the items; by default ``items.csv`` (``.tsv``, ``.parquet``) beside ``path``.
        threshold: a rating is an interaction from here on; has no meaning without ratings.
        core: leave out users and items with fewer interactions than this, until none is left.
        split: each user's last interactions are held out (``"time"``), or some by chance (``"random"``); ``"auto"``:
            by time where there is one.
        held_out: share of each user's interactions that is for validation, and as many for testing.
        split_seed: of the chance.

    Raises:
        InputError: no such table, a missing column or cell, a rating or time that is none, or nothing left.
    """
    columns = read_columns(path)
    file = os.path.abspath(os.path.expanduser(path))
    beside = [os.path.join(os.path.dirname(file), name) for name in BESIDE]
    described = items or next((p for p in beside if os.path.isfile(p) and p != file), "")
    features = describe(read_columns(described), repr(described)) if described else None
    return Log.of_columns(columns, repr(path)).dataset(
        path, features, threshold=threshold, core=core, split=split, held_out=held_out, split_seed=split_seed
    )


@dataclass
class Log:
    """Interactions as they are listed, one a row.

    Attributes:
        users: ``(n,)`` names.
        items: ``(n,)`` names.
        ratings: ``(n,)`` float64, or None.
        times: ``(n,)`` float64 in any unit, or None.
    """

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray | None = None
    times: np.ndarray | None = None

    @classmethod
    def of_columns(cls, columns: Mapping[str, Sequence[Any]], where: str) -> "Log":
        """From columns by name; see :func:`interactions`. ``where`` names them in errors."""
        users, items = find(columns, USERS), find(columns, ITEMS)
        if users is None or items is None:
            missing = "user" if users is None else "item"
            raise InputError(
                f"{where} has no column named {missing} (or {missing}_id, ...); it has {', '.join(map(str, columns))}"
            )
        if not len(users):
            raise InputError(f"{where} has a header but no rows")
        ratings, times = find(columns, RATINGS), find(columns, TIMES)
        return cls(
            _names(users, "user", where),
            _names(items, "item", where),
            None if ratings is None else _numbers(ratings, "rating", where),
            None if times is None else _numbers(times, "time", where, _moment),
        )

    def dataset(
        self,
        name: str,
        described: Described | None = None,
        *,
        about: About | None = None,
        threshold: float = 4.0,
        core: int = 1,
        split: Split = "auto",
        held_out: float = 0.1,
        split_seed: int = 0,
    ) -> Dataset:
        """The data set: threshold, k-core, split, in this order; settings as for :func:`interactions`."""
        if not 0 <= held_out < 0.5:
            raise InputError(f"held_out={held_out}: the share that is held out twice is at least 0 and below 0.5")
        if split == "time" and self.times is None:
            raise InputError(f"{name}: split='time' needs a column timestamp; there is none, so set split=random")
        order, users, items = self._kept(name, threshold, core)
        user_names, u = _numbered(users)
        item_names, i = _numbered(items)
        if len(item_names) < 2:
            raise InputError(f"{name}: only one item is left, and nothing to compare it with")
        by_time = self.times is not None and split != "random"
        when = self.times[order] if by_time and self.times is not None else None
        held = split_by_user(u, i, None if when is None else torch.from_numpy(when), held_out, split_seed)
        features, keys = ({}, item_names) if described is None else described.of(item_names)
        train = torch.stack([u, i])[:, held == TRAIN]
        return Dataset(
            name,
            {"user": u, "item": i, "part": held},
            _Pairs(u, i, user_names, keys),
            held != TRAIN,
            about=about,
            shared={
                "train": train[:, (train[0] * len(item_names) + train[1]).argsort()],
                "item_features": features,
                "num_users": len(user_names),
                "num_items": len(item_names),
            },
            tables={
                "item": _table(f"items of {name}", "item", keys),
                "user": _table(f"users of {name}", "user", user_names),
            },
            known={"num_users": len(user_names), "num_items": len(item_names)},
        )

    def _kept(self, name: str, threshold: float, core: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions of the interactions that are kept, oldest first, with their users and items."""
        keep = np.ones(len(self.users), bool) if self.ratings is None else self.ratings >= threshold
        if not keep.any():
            best = f"{0.0 if self.ratings is None else self.ratings.max():g}"
            raise InputError(
                f"{name}: no rating reaches the threshold of {threshold:g}, the highest is {best}; "
                f"try --set data.threshold={best}"
            )
        order = np.flatnonzero(keep)
        if self.times is not None:
            order = order[np.argsort(self.times[order], kind="stable")]
        _, user = np.unique(self.users[order], return_inverse=True)
        _, item = np.unique(self.items[order], return_inverse=True)
        # a pair counts once
        first = np.sort(np.unique(user.astype(np.int64) * (item.max() + 1) + item, return_index=True)[1])
        order, user, item = order[first], user[first], item[first]
        while len(order):
            rare = (np.bincount(user)[user] < core) | (np.bincount(item)[item] < core)
            if not rare.any():
                return order, self.users[order], self.items[order]
            order, user, item = order[~rare], user[~rare], item[~rare]
        raise InputError(f"{name}: core={core} leaves nothing: no group of users and items has that many interactions")


def split_by_user(user: Tensor, item: Tensor, time: Tensor | None, share: float, seed: int) -> Tensor:
    """``(n,)`` int64: :data:`TRAIN`, :data:`VALID` or :data:`TEST` for each interaction.

    A user's last ``share`` is the test part and the one before it is for validation, by time or in an order drawn
    from ``seed`` that does not depend on the order of the rows. From three interactions on, each part has one at
    least; a user with fewer has training interactions alone.

    Args:
        user: ``(n,)`` int64.
        item: ``(n,)`` int64.
        time: ``(n,)``, or None for chance.
        share: of each part that is held out.
        seed: of the chance.
    """
    if time is None:
        rank = torch.empty(len(user))
        canonical = (user * (int(item.max()) + 1) + item).argsort()
        rank[canonical] = Draws(seed, 0, torch.arange(len(user))).fork("split").uniform()
        time = rank
    order = time.argsort(stable=True)
    order = order[user[order].argsort(stable=True)]
    count = user.bincount()
    place = torch.arange(len(user)) - (count.cumsum(0) - count)[user[order]]
    held = (count * share + 0.5).long().clamp(min=1).minimum((count - 1) // 2) if share > 0 else torch.zeros_like(count)
    left = (count - held)[user[order]]  # that are not for testing
    out = torch.full_like(user, TRAIN)
    out[order[place >= left - held[user[order]]]] = VALID
    out[order[place >= left]] = TEST
    return out


class _Pairs(Sequence[str]):
    """What people call an interaction: ``"user, item"``, made when asked for."""

    def __init__(self, user: Tensor, item: Tensor, users: list[str], items: list[str]) -> None:
        self.user, self.item, self.users, self.items = user, item, users, items

    def __len__(self) -> int:
        return len(self.user)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return f"{self.users[int(self.user[index])]}, {self.items[int(self.item[index])]}"


def _table(name: str, role: str, keys: list[str]) -> Dataset:
    return Dataset(name, {role: torch.arange(len(keys))}, keys, torch.zeros(len(keys), dtype=torch.bool))


def _numbered(names: np.ndarray) -> tuple[list[str], Tensor]:
    """Different names, in numerical order where all are numbers, else by letters; and each name's number there."""
    found, codes = np.unique(names, return_inverse=True)
    said = [str(name) for name in found]
    if all(map(str.isdecimal, said)):
        rank = np.argsort([int(name) for name in said], kind="stable")
        said, codes = [said[i] for i in rank], np.argsort(rank)[codes]
    return said, torch.from_numpy(codes.reshape(-1).astype(np.int64))


def _names(values: Sequence[Any], what: str, where: str) -> np.ndarray:
    # a missing cell of a data frame is None or NaN, the one value that differs from itself
    said = ["" if v is None or v != v else str(v).strip() for v in values]
    if "" in said:
        raise InputError(f"{where}: no {what} in row {said.index('')}")
    return np.array(said)


def _numbers(values: Sequence[Any], what: str, where: str, read: Callable[[Any], float] = float) -> np.ndarray:
    out = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            out[row] = read(value)
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"{where}: {what} {value!r} in row {row} is no {what}") from None
        if not np.isfinite(out[row]):
            raise InputError(f"{where}: {what} {value!r} in row {row} is no {what}")
    return out


def _moment(value: Any) -> float:
    """Seconds of a number, a date in ISO 8601, or what a data frame has."""
    if isinstance(value, str) and not value.strip().replace(".", "", 1).lstrip("-").isdecimal():
        value = datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    return float(value)


def from_object(data: Any) -> Dataset:
    """A data frame, ``(users, items[, ratings[, times]])``, or a SciPy sparse matrix -> a data set.

    Args:
        data: a frame with columns as :func:`interactions` reads them; a pair of it and a frame about the items;
            a tuple of two to four sequences of one length; a sparse matrix (users, items) whose entries above 0 are
            interactions.

    Raises:
        InputError: something else, or values that can't be used.
    """
    if _is_frame(data):
        return Log.of_columns(frame_columns(data), "the data frame").dataset("data frame")
    if isinstance(data, tuple) and len(data) == 2 and all(map(_is_frame, data)):
        told = describe(frame_columns(data[1]), "the data frame of items")
        return Log.of_columns(frame_columns(data[0]), "the data frame").dataset("data frame", told)
    if hasattr(data, "tocoo"):
        held = data.tocoo()
        above = held.data > 0
        if not above.any():
            raise InputError("the sparse matrix has no entry above 0")
        return Log(held.row[above].astype(str), held.col[above].astype(str)).dataset("matrix")
    if isinstance(data, tuple) and 2 <= len(data) <= 4:
        columns = dict(zip(("user", "item", "rating", "timestamp"), map(_listed, data)))
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} {n}" for name, n in lengths.items())
            raise InputError(f"the sequences have different lengths: {said}")
        return Log.of_columns(columns, "the tuple").dataset("arrays")
    raise InputError(
        f"data of type {type(data).__name__} are no interactions: give a path, a data frame with columns user and "
        "item, a tuple (users, items[, ratings[, times]]), or a SciPy sparse matrix of users x items"
    )


def _is_frame(data: Any) -> bool:
    return hasattr(data, "columns") and type(data).__module__.split(".")[0] == "pandas"


def _listed(values: Any) -> list[Any]:
    values = values.tolist() if hasattr(values, "tolist") else list(values)
    if values and isinstance(values[0], list):
        raise InputError("each of (users, items[, ratings[, times]]) has one value an interaction, not a row of them")
    return values


register_reader(
    Reader(
        "interactions",
        "a .csv, .tsv or .parquet with columns user, item and perhaps rating and timestamp (items.csv beside it may "
        "describe the items)",
        interactions,
        from_object,
    )
)
