"""A multi-layer perceptron over feature vectors."""

from torch import Tensor, nn

from likewise.core.recipe import FROM_DATA, part


@part("encoder", "mlp")
class MLPEncoder(nn.Module):
    """``depth`` hidden layers of ``width`` units, then ``dim`` features.

    Args:
        num_features: of a vector.
        width: hidden units.
        depth: hidden layers.
        dim: features out.
    """

    def __init__(self, *, num_features: int = FROM_DATA, width: int = 256, depth: int = 2, dim: int = 128) -> None:
        super().__init__()
        self.dim = dim
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Linear(num_features, width), nn.LayerNorm(width), nn.ReLU()]
            num_features = width
        self.layers = nn.Sequential(*layers, nn.Linear(num_features, dim))

    def forward(self, view: Tensor) -> Tensor:
        """Features ``(n, dim)`` of vectors ``(n, f)``."""
        out: Tensor = self.layers(view.flatten(1))
        return out
