"""Where an agent has not been: bonuses for features in directions that were seldom seen."""

import torch
from torch import Tensor, nn

from likewise.core.errors import InputError
from likewise.functional.rl import covariance, elliptical_bonus


class OnlineCovariance(nn.Module):
    """Sums what it is shown and gives a bonus for it, as SPR-UCB does with every batch of its replay.

    What is shown again counts again, and nothing is forgotten.

    Args:
        dim: of the features.
        ridge: on the diagonal of the covariance at the start.
        weight: of the bonus.
    """

    sigma: Tensor

    def __init__(self, dim: int, *, ridge: float = 1e-5, weight: float = 1.0) -> None:
        super().__init__()
        if ridge <= 0 or weight < 0:
            raise InputError(f"ridge={ridge} must be above 0 and weight={weight} at least 0")
        self.weight = weight
        # float64, as the code has it on the way: of a nearly singular matrix float32 has no inverse
        self.register_buffer("sigma", ridge * torch.eye(dim, dtype=torch.float64))

    @torch.no_grad()
    def forward(self, phi: Tensor) -> Tensor:
        """Take in features ``(..., dim)``; their bonuses ``(...)`` afterwards."""
        rows = phi.reshape(-1, phi.shape[-1]).to(self.sigma.dtype)
        self.sigma += covariance(rows, torch.ones_like(rows[:, 0]), 0.0)
        return elliptical_bonus(rows, self.sigma, self.weight).to(phi.dtype).view(phi.shape[:-1])
