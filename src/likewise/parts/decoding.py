"""What decoders share: settings that are checked, and keeping some tokens of a distribution."""

import torch
from torch import Tensor

from likewise.core.errors import InputError


class FromProbabilities:
    """Base of decoders that read the expert's next-token distribution alone.

    Args:
        temperature: the logits are divided by it; below 1 likely tokens become likelier.
    """

    needs: tuple[str, ...] = ()
    draws = True
    beams = 1

    def __init__(self, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise InputError(f"temperature={temperature} must be above 0")
        self.temperature = temperature


def share(name: str, value: float) -> float:
    """``value``, if it is a share above 0 and at most 1."""
    if not 0 < value <= 1:
        raise InputError(f"{name}={value} is a share, above 0 and at most 1")
    return value


def keep_mass(logits: Tensor, order: Tensor, mass: float) -> Tensor:
    """The logits of the first tokens in ``order (n, v)`` that hold ``mass`` together; ``-inf`` for the others.

    The token that reaches the mass is kept, so there is at least one.
    """
    sorted_probs = logits.softmax(1).gather(1, order)
    before = sorted_probs.cumsum(1) - sorted_probs
    dropped = torch.zeros_like(logits, dtype=torch.bool).scatter(1, order, before >= mass)
    return logits.masked_fill(dropped, -torch.inf)
