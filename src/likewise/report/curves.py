"""Time series as small pictures, so that a page can show them beside each other."""

import numpy as np
from PIL import Image, ImageDraw

from likewise.report.samples import Array

COLOURS = ((38, 84, 124), (200, 80, 40), (60, 130, 70), (140, 80, 150), (190, 140, 20), (90, 90, 90))
"""Of the channels, in turn."""
_TWICE = 2  # drawn at twice the size and made smaller: smooth lines


def curves(series: Array, side: int = 64) -> Array:
    """Series ``(n, t, c)`` as pictures ``(n, 3, side, side)``, uint8: a line per channel on white, time to the right.

    Each channel has one scale in all pictures, from its 1st to its 99th percentile. Missing values leave a gap.
    """
    series = np.asarray(series, np.float64)
    n, steps, channels = series.shape
    if n == 0:
        return np.zeros((0, 3, side, side), np.uint8)
    flat = series.reshape(-1, channels)
    known = np.isfinite(flat).any(0)
    low, high = np.zeros(channels), np.ones(channels)
    low[known], high[known] = np.nanpercentile(flat[:, known], (1, 99), axis=0)
    height = np.clip((series - low) / np.where(high > low, high - low, 1.0), 0, 1)
    size, edge = _TWICE * side, 3 * _TWICE
    across = edge + np.linspace(0, 1, max(steps, 2))[:steps] * (size - 2 * edge)
    down = edge + (1 - height) * (size - 2 * edge)
    out = np.empty((n, 3, side, side), np.uint8)
    for row in range(n):
        image = Image.new("RGB", (size, size), "white")
        pen = ImageDraw.Draw(image)
        for channel in range(channels):
            for piece in _pieces(np.isfinite(series[row, :, channel])):
                points = list(zip(across[piece].tolist(), down[row, piece, channel].tolist()))
                pen.line([*points, *points[-1:]], fill=COLOURS[channel % len(COLOURS)], width=_TWICE)
        out[row] = np.asarray(image.resize((side, side), Image.Resampling.BOX)).transpose(2, 0, 1)
    return out


def _pieces(there: Array) -> list[slice]:
    """The runs of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(int)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2])]
