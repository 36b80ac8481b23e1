"""Random numbers that belong to samples: a pure function of (seed, epoch, sample id, draw).

A sample gets the same draws whatever batch, process or resumed run it comes in, on every device.
"""

import math
import zlib

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit number
_MIX_1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_2 = -7723592293110705685  # 0x94D049BB133111EB


def _mix(x: Tensor) -> Tensor:
    """The finaliser of SplitMix64 (Steele et al., 2014), on int64 with wrap-around."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * _MIX_1
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * _MIX_2
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


class Draws:
    """A stream of draws for ``n`` samples; every call gives new numbers, one row per sample.

    Args:
        seed: of the run.
        epoch: pass over the data.
        ids: ``(n,)`` int64, on the device where the numbers are wanted.
    """

    def __init__(self, seed: int, epoch: int, ids: Tensor) -> None:
        start = torch.tensor([seed, epoch], dtype=torch.int64, device=ids.device)
        self._base = _mix(_mix(start[0] + _GOLDEN) + start[1])
        self._keys = _mix(_mix(ids + _GOLDEN) ^ self._base)
        self._calls = 0

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def device(self) -> torch.device:
        """Where the numbers are."""
        return self._keys.device

    def fork(self, name: str) -> "Draws":
        """An independent stream for the same samples: one per view, so that adding a view changes no other."""
        step = zlib.crc32(name.encode()) * 2 + 1
        return _stream(_mix(self._keys + step), _mix(self._base + step))

    def pairs(self, rows: Tensor, cols: Tensor) -> "Draws":
        """A stream for ordered pairs of the samples at ``rows (p,)`` and ``cols (p,)``: the edges of a graph.

        A pair gets the same draws wherever its samples stand, and whatever other pairs there are.
        """
        return _stream(_mix(_mix(self._keys[rows]) + self._keys[cols]), self._base)

    def others(self, ids: Tensor) -> "Draws":
        """A stream for things beside the samples, ``ids (k,)`` int64, say the columns of a feature matrix."""
        return _stream(_mix(_mix(ids + _GOLDEN) ^ self._base), self._base)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """``(n, *shape)`` float32, uniform in ``[low, high)``."""
        self._calls += 1
        size = math.prod(shape)
        offsets = torch.arange(size, dtype=torch.int64, device=self.device) + (self._calls << 32)
        bits = _mix(self._keys[:, None] + _mix(offsets)[None, :])
        unit = ((bits >> 40) & 0xFFFFFF).to(torch.float32) / (1 << 24)
        return (low + (high - low) * unit).view(len(self), *shape)

    def normal(self, *shape: int) -> Tensor:
        """``(n, *shape)`` float32, standard normal (Box-Muller)."""
        radius = (-2 * torch.log1p(-self.uniform(*shape))).sqrt()
        return radius * torch.cos(2 * math.pi * self.uniform(*shape))

    def bernoulli(self, prob: float) -> Tensor:
        """``(n,)`` bool, true with probability ``prob``."""
        return self.uniform() < prob

    def integers(self, high: int, *shape: int) -> Tensor:
        """``(n, *shape)`` int64, uniform in ``0 .. high - 1``; ``high`` is at most 2^24."""
        return (self.uniform(*shape) * high).long().clamp_max(high - 1)


def _stream(keys: Tensor, base: Tensor) -> Draws:
    out = object.__new__(Draws)
    out._keys, out._base, out._calls = keys, base, 0
    return out
