"""The contract of a method that decodes: logits of named sources -> scores of the next token."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import Tensor


@dataclass
class Sources:
    """What a decoder sees at one position, for ``n`` sequences of one length.

    Attributes:
        logits: source -> ``(n, vocabulary)``; ``"expert"`` is always there, others as ``Decoder.needs`` says
            (``"amateur"``, ``"layer:12"``, ``"no_image"``). Tokens that may not come have ``-inf`` in every source.
        tokens: the tokens so far ``(n, t)`` int64.
        history: last hidden states ``(n, t, d)`` of the tokens so far.
        ahead: candidates ``(n, k)`` int64 -> the last hidden state ``(n, k, d)`` that each would have as the next
            token. It costs a pass over ``n k`` tokens; the pass is not repeated for a candidate that is then taken.
        extra: anything else by name with ``n`` rows each.
    """

    logits: Mapping[str, Tensor]
    tokens: Tensor
    history: Tensor
    ahead: Callable[[Tensor], Tensor]
    extra: Mapping[str, Tensor] = field(default_factory=dict)


@runtime_checkable
class Decoder(Protocol):
    """Scores the next token; the loop around it is one for all decoders (:mod:`likewise.parts.generation`)."""

    needs: tuple[str, ...]
    """Names of the logit sources that must be there beside ``"expert"``."""

    draws: bool
    """Whether the next token is drawn from the softmax of the scores; the best one is taken otherwise."""

    beams: int
    """How many continuations are kept at a time; of several, scores are log-probabilities and add up."""

    def score(self, sources: Sources) -> Tensor:
        """Scores ``(n, vocabulary)``, ``-inf`` where a token is ruled out; at least one token of a row is not."""
        ...
