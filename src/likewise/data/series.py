"""Time series: one long one that is cut into sections, or many; the sources that have names, and people's own."""

import csv
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.catalogue import about, need
from likewise.data.dataset import Dataset, split_by_key
from likewise.data.labels import encode, encode_text
from likewise.data.readers import Reader, register_reader
from likewise.data.series_files import SUFFIXES, Found, from_array, from_table, joined, read, read_ts
from likewise.data.table import frame_columns

SHORTEST = 40
"""Steps of a long series, at least: below, a part of its split has no room for a forecast."""


@part("data")
def series(
    path: str, section: int = 200, stride: int | None = None, limit: int | None = None, test_share: float = 0.2
) -> Dataset:
    """Time series in a ``.csv``, ``.tsv``, ``.parquet``, ``.npy``, ``.npz`` or ``.ts`` file; see ``docs/series.md``.

    A table with a column per channel, or an array ``(t,)``, is one long series: its first 60 % train, the next 20 %
    validate, the last 20 % test, and rows are its sections. A table with a column of ids, an array ``(n, t)`` or
    ``(n, t, c)``, and ``.ts`` files are many series: a row each, shorter ones with NaN on both sides.

    Args:
        path: of the file.
        section: steps of a row of a long series; fewer where it is too short for eight.
        stride: steps from the beginning of a section to that of the next; ``section`` if None.
        limit: use at most this many training rows.
        test_share: share of many series held out where the file does not say, by a hash of their key.

    Raises:
        InputError: not such a file, or values that are no time series.
    """
    return built(path, read(path), section, stride, test_share).limited(limit)


def built(name: str, found: Found, section: int = 200, stride: int | None = None, test_share: float = 0.2) -> Dataset:
    """The data set of what a file holds; settings as for :func:`series`."""
    if not found.rows:
        raise InputError(f"{name}: no series")
    widths = {row.shape[1] for row in found.rows}
    if len(widths) > 1:
        raise InputError(f"{name}: series of {' and '.join(map(str, sorted(widths)))} channels: all need the same")
    for key, row in zip(found.keys, found.rows):
        if np.isinf(row).any():
            raise InputError(f"{name}: infinite value in series {key!r}; leave a missing value empty, or NaN")
        if np.isnan(row).any(1).all():
            raise InputError(f"{name}: series {key!r} has no time step with all its values")
    if found.long or (len(found.rows) == 1 and len(found.rows[0]) > section):
        return _long(name, found.rows[0], found.times, section, stride)
    return _many(name, found, test_share)


def _many(name: str, found: Found, test_share: float) -> Dataset:
    x = _padded(found.rows)
    test = split_by_key(found.keys, test_share) if found.test is None else torch.tensor(found.test)
    labels, classes = None, None
    if found.labels is not None:
        text = all(isinstance(label, str) for label in found.labels)
        labels, classes = encode_text(found.labels, name) if text else encode(found.labels, name)
    return Dataset(name, {"series": x}, found.keys, test, labels, classes, known=_known(x[~test]))


def _padded(rows: Sequence[np.ndarray]) -> Tensor:
    """Series ``(n, t, c)`` of the longest's length, each in the middle, as TS2Vec's code centres them."""
    longest = max(len(row) for row in rows)
    out = np.full((len(rows), longest, rows[0].shape[1]), np.nan, np.float32)
    for place, row in zip(out, rows):
        start = (longest - len(row)) // 2
        place[start : start + len(row)] = row
    return torch.from_numpy(out)


def _long(name: str, values: np.ndarray, times: Sequence[str] | None, section: int, stride: int | None) -> Dataset:
    total = len(values)
    if total < SHORTEST:
        raise InputError(f"{name}: a series of {total} time steps is too short, at least {SHORTEST} are needed")
    if section < 2 or (stride is not None and stride < 1):
        raise InputError(f"{name}: section={section}, stride={stride}: a section has at least 2 steps, a stride 1")
    train_end, valid_end = int(0.6 * total), int(0.8 * total)
    section = min(section, max(2, train_end // 8))
    stride = stride or section
    x = torch.from_numpy(np.ascontiguousarray(values))
    starts = [*range(0, train_end - section + 1, stride), *range(train_end, total - section + 1, stride)]
    rows = torch.stack([x[start : start + section] for start in starts])
    keys = [str(times[s]) if times is not None else f"{s}-{s + section}" for s in starts]
    if len(set(keys)) < len(keys):
        keys = [f"{key} ({start})" for key, start in zip(keys, starts)]
    held_out = torch.tensor(starts) >= train_end
    full = ~rows.isnan().any(2).all(1)  # a section without a single whole step says nothing
    kept = full.nonzero().flatten()
    if not (full & ~held_out).any():
        raise InputError(f"{name}: no section of the training part has a time step with all its values")
    shared = {"series": x, "split": torch.tensor([train_end, valid_end])}
    out = Dataset(name, {"series": rows}, keys, held_out, shared=shared, known=_known(x[None, :train_end]))
    return out if len(kept) == len(rows) else out.subset(kept)


def _known(x: Tensor) -> dict[str, Any]:
    """Channels, and the mean and standard deviation of each over series ``(n, t, c)``."""
    flat = x.flatten(0, 1).double()
    center = flat.nanmean(0).nan_to_num(0.0)
    spread = (flat - center).square().nanmean(0).sqrt().nan_to_num(0.0)
    spread = torch.where(spread > 1e-6 * center.abs().clamp_min(1e-12), spread, torch.ones_like(spread))
    return {"channels": x.shape[2], "center": tuple(center.tolist()), "spread": tuple(spread.tolist())}


def from_object(data: Any) -> Dataset:
    """Time series as Python users have them.

    Args:
        data: an array or tensor ``(t,)`` (one long series), ``(n, t)`` or ``(n, t, c)``; a pair ``(series, labels)``;
            a list of arrays ``(t, c)`` of different length; a data frame as the tables of :func:`series`.

    Raises:
        InputError: something else.
    """
    if hasattr(data, "columns") and type(data).__module__.split(".")[0] == "pandas":
        counted = type(data.index).__name__ == "RangeIndex"
        times = None if counted else [str(time) for time in data.index]
        return built("data frame", from_table(frame_columns(data), "the data frame", times))
    labels = None
    if isinstance(data, tuple) and len(data) == 2:
        data, labels = data
    labels = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else labels
    if isinstance(data, np.ndarray | Tensor):
        x = data.detach().cpu().numpy() if isinstance(data, Tensor) else data
        return built("array", from_array(x, labels, "the array"))
    if isinstance(data, list) and data and all(isinstance(row, np.ndarray | Tensor) for row in data):
        rows = [from_array(np.asarray(row)[None], None, f"series {i}").rows[0] for i, row in enumerate(data)]
        said = None if labels is None else np.asarray(labels).tolist()
        if said is not None and len(said) != len(rows):
            raise InputError(f"{len(rows)} series but {len(said)} labels")
        return built("list of series", Found(rows, labels=said))
    raise InputError(
        f"data of type {type(data).__name__} are no time series: give a path, an array (t,), (n, t) or (n, t, c), "
        "(series, labels), a list of arrays (t, c), or a data frame"
    )


@part("data", "synthetic-waves")
def synthetic_waves(steps: int = 600, channels: int = 2, section: int = 40, stride: int = 20) -> Dataset:
    """Made up: waves of several periods in each channel with noise, one long series; always the same.

    Args:
        steps: of the series.
        channels: of the series.
        section: steps of a row.
        stride: from the beginning of a section to that of the next.
    """
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(steps)[:, None, None]
    period = 6 + 40 * torch.rand(1, channels, 3, generator=generator)
    phase = torch.rand(1, channels, 3, generator=generator)
    waves = torch.sin(2 * torch.pi * (time / period + phase)).sum(2)
    values = waves + 0.2 * torch.randn(steps, channels, generator=generator)
    out = built("synthetic-waves", Found([values.numpy()], long=True), section, stride)
    out.about = about("synthetic-waves")
    return out


WEATHER = {
    "global radiation": "GHI (W/m^2)",
    "direct radiation": "DNI (W/m^2)",
    "diffuse radiation": "DHI (W/m^2)",
    "cloud cover": "TotCld (tenths)",
    "temperature": "Dry-bulb (C)",
    "dew point": "Dew-point (C)",
    "humidity": "RHum (%)",
    "pressure": "Pressure (mbar)",
    "wind speed": "Wspd (m/s)",
}
"""Channels of ``greensboro-weather``, and their columns in the file."""


@part("data", "greensboro-weather")
def greensboro_weather(section: int = 200, stride: int | None = None, channel: str | None = None) -> Dataset:
    """A year of hourly weather in Greensboro, North Carolina: 8760 steps of nine channels, one long series.

    A typical year of the American weather service (TMY3): each month is the measured one of some year from 1976 to
    2005, so that the first of a month may follow another year's last.

    Args:
        section: steps of a row.
        stride: from the beginning of a section to that of the next; ``section`` if None.
        channel: one of them alone, ``temperature`` say.
    """
    if channel is not None and channel not in WEATHER:
        raise InputError(f"greensboro-weather has no channel {channel!r}; there are: {', '.join(WEATHER)}")
    path = need("greensboro-weather") / "723170TYA.CSV"
    wanted = WEATHER if channel is None else {channel: WEATHER[channel]}
    with open(path, newline="", encoding="utf-8") as file:
        file.readline()  # the station
        rows = list(csv.DictReader(file))
    values = np.array([[row[name] for name in wanted.values()] for row in rows], np.float32)
    values[values <= -9900] = np.nan
    hours = [f"{row['Date (MM/DD/YYYY)'][:5]} {row['Time (HH:MM)']}" for row in rows]
    out = built("greensboro-weather", Found([values], times=hours, long=True), section, stride)
    out.about = about("greensboro-weather")
    return out


@part("data")
def gunpoint(limit: int | None = None) -> Dataset:
    """GunPoint of the UCR archive: the height of a hand that draws a gun or points, 50 / 150 series of 150 steps.

    Args:
        limit: use at most this many training series.
    """
    return _archive("gunpoint", "GunPoint").limited(limit)


@part("data", "italy-power-demand")
def italy_power_demand(limit: int | None = None) -> Dataset:
    """ItalyPowerDemand of the UCR archive: days of electricity in two halves of the year, 67 / 1029 of 24 hours.

    Args:
        limit: use at most this many training series.
    """
    return _archive("italy-power-demand", "ItalyPowerDemand").limited(limit)


@part("data", "basic-motions")
def basic_motions(limit: int | None = None) -> Dataset:
    """BasicMotions of the UEA archive: four activities seen by a watch, 40 / 40 series of 100 steps, 6 channels.

    Args:
        limit: use at most this many training series.
    """
    return _archive("basic-motions", "BasicMotions").limited(limit)


@part("data", "japanese-vowels")
def japanese_vowels(limit: int | None = None) -> Dataset:
    """JapaneseVowels of the UEA archive: nine speakers, 270 / 370 series of 7 to 29 steps, 12 channels.

    Args:
        limit: use at most this many training series.
    """
    return _archive("japanese-vowels", "JapaneseVowels").limited(limit)


def _archive(name: str, stem: str) -> Dataset:
    folder = need(name)
    train, test = (read_ts(str(folder / f"{stem}_{split}.ts")) for split in ("TRAIN", "TEST"))
    out = built(name, joined(train, test))
    out.about = about(name)
    return out


register_reader(
    Reader(
        "series",
        f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}; a table with a column per channel is one long series, one with "
        "a column named series holds many",
        series,
        from_object,
    )
)
