"""Linear predictors: set from running moments of what they see, or trained beside them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from likewise.core.errors import InputError
from likewise.functional.direct import second_moment


class LinearPredictor(nn.Module):
    r"""``(n, d) -> (n, d)`` by a matrix that a rule makes from the running second moment of its input.

    The moment follows :math:`F \leftarrow \rho F + (1 - \rho)\,C`, C that of the last batch, F = C at first. Until the
    first update the matrix is the identity. All of it is saved with the learner.

    Args:
        dim: d.
        rule: moment ``(d, d)`` -> matrix ``(d, d)``; None: the matrix is trained by the optimiser instead.
        decay: rho.
        centre: take the outer product of the running mean off the moment before the rule sees it.
        every: apply the rule in one of so many updates.
    """

    moment: Tensor
    mean: Tensor
    updates: Tensor

    def __init__(
        self,
        dim: int,
        rule: Callable[[Tensor], Tensor] | None,
        *,
        decay: float = 0.3,
        centre: bool = False,
        every: int = 1,
    ) -> None:
        super().__init__()
        if not 0 <= decay < 1 or every < 1:
            raise InputError(f"linear predictor: decay={decay} must be from 0 to below 1, every={every} at least 1")
        self.rule, self.decay, self.centre, self.every = rule, decay, centre, every
        self.weight = nn.Parameter(torch.eye(dim), requires_grad=rule is None)
        if rule is None:
            nn.init.kaiming_uniform_(self.weight, a=5**0.5)  # as nn.Linear starts
        self.register_buffer("moment", torch.zeros(dim, dim))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("updates", torch.zeros(1, dtype=torch.int64))

    def forward(self, rows: Tensor) -> Tensor:
        """The prediction; gradient flows to the rows, and to the matrix if it is trained."""
        return rows @ self.weight.T.to(rows.dtype)

    def statistics(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Second moment ``(d, d)`` and mean ``(d,)`` of a batch of inputs ``(n, d)``, without gradient."""
        rows = rows.detach().to(self.moment.dtype)
        return second_moment(rows), rows.mean(0)

    @torch.no_grad()
    def update(self, moment: Tensor, mean: Tensor) -> None:
        """Take a batch's statistics into the running ones, and set the matrix if it is time."""
        keep = self.decay if int(self.updates) else 0.0
        self.moment.mul_(keep).add_(moment, alpha=1 - keep)
        self.mean.mul_(keep).add_(mean, alpha=1 - keep)
        self.updates += 1
        if self.rule is not None and int(self.updates) % self.every == 0:
            self.weight.copy_(
                self.rule(self.moment - torch.outer(self.mean, self.mean) if self.centre else self.moment)
            )
