"""Views of plain feature vectors: features left out, and noise, as numbers per sample."""

from torch import Tensor, nn

from likewise.core.batch import View
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import part


@part("views")
class Vectors(nn.Module):
    """Two corrupted copies of a standardised feature vector.

    Each feature is set to 0 (its mean, after standardising) with probability ``mask`` and gets normal noise of
    standard deviation ``noise``. Like the random corruption of SCARF (Bahri et al., arXiv:2106.15147), with the mean
    in place of a draw from another row, so that a sample's view does not depend on its batch.

    Args:
        mask: probability that a feature is left out, in [0, 1).
        noise: standard deviation, in units of the feature's own.
    """

    def __init__(self, *, mask: float = 0.3, noise: float = 0.1) -> None:
        super().__init__()
        if not 0 <= mask < 1:
            raise InputError(f"vectors: mask={mask} is a probability below 1")
        if noise < 0:
            raise InputError(f"vectors: noise={noise} must be at least 0")
        self.mask, self.noise = mask, noise

    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """Views ``a`` and ``b``, ``(n, f)`` float32, of the column ``vector``."""
        return {role: self._corrupt(_vector(columns), draws.fork(role)) for role in ("a", "b")}

    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """The vector as it is."""
        return {"vector": _vector(columns)}

    def _corrupt(self, x: Tensor, draws: Draws) -> Tensor:
        kept = draws.uniform(x.shape[1]) >= self.mask
        return (x + self.noise * draws.normal(x.shape[1])) * kept


def _vector(columns: dict[str, View]) -> Tensor:
    x = columns.get("vector")
    if not isinstance(x, Tensor):
        raise InputError(f"these views are for feature vectors; the data has {', '.join(columns)}")
    return x if x.is_floating_point() else x.float()
