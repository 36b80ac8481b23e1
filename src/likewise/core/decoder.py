"""The contract of a method that decodes: logits of named sources -> the next token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import Tensor


@dataclass
class Sources:
    """What a decoder sees at one position, for ``n`` sequences.

    Attributes:
        logits: source -> ``(n, vocabulary)``; ``"expert"`` is always there, others as ``Decoder.needs`` says
            (``"amateur"``, ``"layer:12"``, ``"no_image"``).
        hidden: last hidden state ``(n, d)`` of the newest token, or None.
        history: hidden states ``(n, t, d)`` of the tokens so far, or None.
        tokens: the tokens so far ``(n, t)`` int64.
    """

    logits: Mapping[str, Tensor]
    tokens: Tensor
    hidden: Tensor | None = None
    history: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Decoder(Protocol):
    """Chooses the next token; the loop around it is one for all decoders."""

    needs: tuple[str, ...]
    """Names of the logit sources that must be there."""

    def score(self, sources: Sources) -> Tensor:
        """Scores ``(n, vocabulary)``, ``-inf`` where a token is ruled out; the loop takes or samples the best."""
        ...
