"""The average of all weights that a network had during training, for use afterwards."""

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class WeightAverage(nn.Module):
    """A copy of a network that holds the mean of its weights after every update, each counted alike.

    Stochastic weight averaging (Izmailov et al., arXiv:1803.05407) from the first step on. The copy takes no gradient
    and is saved with the learner. Before the first update it is the network as it was given.

    Args:
        network: what to follow.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.average = AveragedModel(network).requires_grad_(False)

    @property
    def network(self) -> nn.Module:
        """The averaged network."""
        return self.average.module

    def update(self, network: nn.Module) -> None:
        """Take the network's weights of now into the mean."""
        self.average.update_parameters(network)

    def forward(self, view: Tensor) -> Tensor:
        """The averaged network's output."""
        out: Tensor = self.network(view)
        return out

    def steps(self, view: Tensor) -> Tensor:
        """The averaged network's features of every time step, where it has any."""
        found = getattr(self.network, "steps", None)
        if found is None:
            raise TypeError(f"{type(self.network).__name__} has no features of time steps")
        out: Tensor = found(view)
        return out
