"""Stacks of dilated convolutions over time, the encoder of TS2Vec and CoST."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, part


class TimeMask(nn.modules.dropout._DropoutNd):
    """In training, sets every time step of ``(n, t, d)`` to 0 with probability ``p``, without rescaling the others."""

    def forward(self, x: Tensor) -> Tensor:
        """The masked steps."""
        if not self.training or self.p == 0:
            return x
        kept = torch.rand(x.shape[:2], device=x.device) >= self.p
        return x * kept[..., None]


class Block(nn.Module):
    """GELU, convolution, GELU, convolution, both of size 3 and one dilation, around a shortcut; length is kept.

    The shortcut is a 1x1 convolution where the width changes and in the last block of a stack.
    """

    def __init__(self, before: int, after: int, dilation: int, last: bool) -> None:
        super().__init__()
        self.first = nn.Conv1d(before, after, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv1d(after, after, 3, padding=dilation, dilation=dilation)
        self.shortcut = nn.Conv1d(before, after, 1) if last or before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(n, before, t)`` to ``(n, after, t)``."""
        out: Tensor = self.second(F.gelu(self.first(F.gelu(x)))) + self.shortcut(x)
        return out


@part("encoder", "dilated")
class Dilated(nn.Module):
    """``depth`` blocks of dilated convolutions and one of width ``dim``, dilation 1, 2, 4, ...; the maximum over time.

    Every output sees the whole series on both sides, as far as the dilations reach: for forecasts, what lies in the
    future has to be left out of the input. Time steps with a missing value (NaN) enter as zeros. Yue et al.,
    arXiv:2106.10466, section 3.2; with ``trends`` the trend features of CoST (Woo et al., arXiv:2202.01575).

    Args:
        dim: width of the features.
        hidden: width inside.
        depth: blocks before the last.
        channels: of the series.
        dropout: of the features, in training.
        mask: probability that a time step is left out behind the first layer, in training (TS2Vec has 0.5).
        trends: sizes of causal convolutions whose mean is the output; none: the last block's.
    """

    def __init__(
        self,
        *,
        dim: int = 320,
        hidden: int = 64,
        depth: int = 10,
        channels: int = FROM_DATA,
        dropout: float = 0.1,
        mask: float = 0.0,
        trends: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        for name, value in (("dim", dim), ("hidden", hidden), ("channels", channels), *(("trends", t) for t in trends)):
            if value < 1:
                raise InputError(f"dilated: {name} must be at least 1, got {value}")
        if depth < 0:
            raise InputError(f"dilated: depth must be at least 0, got {depth}")
        for name, prob in (("dropout", dropout), ("mask", mask)):
            if not 0 <= prob < 1:
                raise InputError(f"dilated: {name}={prob} is a probability below 1")
        self.dim = dim
        self.first, self.mask = nn.Linear(channels, hidden), TimeMask(mask)
        inner = [Block(hidden, hidden, 2**i, last=False) for i in range(depth)]
        self.blocks = nn.Sequential(*inner, Block(hidden, dim, 2**depth, last=True))
        self.dropout = nn.Dropout(dropout)
        self.trends = nn.ModuleList(nn.Conv1d(dim, dim, size) for size in trends)

    @property
    def reach(self) -> int:
        """How many steps back, at most, the features of a time step depend on the series."""
        dilations = sum(2**i for i in range(len(self.blocks)))
        return 2 * dilations + max((size - 1 for size in self._sizes), default=0)

    @property
    def _sizes(self) -> list[int]:
        return [int(conv.kernel_size[0]) for conv in self.trends if isinstance(conv, nn.Conv1d)]

    def steps(self, view: Tensor) -> Tensor:
        """Features of every time step ``(n, t, dim)`` of series ``(n, t, channels)``, NaN where missing."""
        missing = view.isnan().any(-1, keepdim=True)
        x = self.mask(self.first(view.masked_fill(missing, 0.0))).masked_fill(missing, 0.0)
        out: Tensor = self.blocks(x.transpose(1, 2))
        if self.trends:
            parts = [conv(F.pad(out, (size - 1, 0))) for conv, size in zip(self.trends, self._sizes)]
            out = torch.stack(parts).mean(0)
        features: Tensor = self.dropout(out.transpose(1, 2))
        return features

    def forward(self, view: Tensor) -> Tensor:
        """Features ``(n, dim)``: the maximum over time of :meth:`steps`."""
        return self.steps(view).amax(1)
