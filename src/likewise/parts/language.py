"""What methods that train language models share: windows of tokens in, next tokens out, and what decoding needs."""

import torch
from torch import Tensor

from likewise.core.batch import Batch, Tokens, View
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Embeddings, Learner
from likewise.functional.text import IGNORED, next_token_nll
from likewise.parts.encoders.gpt import GPT, Cache


def tokens(view: View) -> Tokens:
    """A view of text."""
    if not isinstance(view, Tokens):
        raise InputError(f"a language model reads tokens; this is a {type(view).__name__}")
    return view


class LanguageLearner(Learner):
    """Base of methods that train a causal language model; a :class:`likewise.parts.generation.LanguageModel`, too.

    Args:
        encoder: the model.
    """

    def __init__(self, encoder: GPT) -> None:
        super().__init__()
        self.encoder = encoder

    def encode(self, batch: Batch) -> Embeddings:
        """Last hidden states ``(n, t, d)`` and logits ``(n, t, v)`` of every position."""
        hidden, _ = self.encoder(tokens(batch.views["text"]).ids)
        return {"hidden": hidden, "logits": self.encoder.logits(hidden)}

    def likelihood(self, z: Embeddings, batch: Batch, comm: Collective) -> Tensor:
        """Mean negative log-likelihood of the next token, over every predicted token of everybody's batch."""
        view = tokens(batch.views["text"])
        labels = next_tokens(view)
        nll = next_token_nll(z["logits"], labels)
        return comm.sum(nll.sum()) / comm.sum((labels != IGNORED).sum()).clamp(min=1)

    def embed(self, view: View, role: str | None = None) -> Tensor:
        """The mean of a text's last hidden states, ``(n, d)``."""
        text = tokens(view)
        hidden, _ = self.encoder(text.ids)
        mask = text.mask[..., None]
        out: Tensor = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
        return out

    def read(self, ids: Tensor, cache: Cache | None = None) -> tuple[Tensor, Tensor, Cache]:
        """Logits, last hidden states and cache of new tokens."""
        hidden, cache = self.encoder(ids, cache)
        return self.encoder.logits(hidden), hidden, cache

    def select(self, cache: Cache, index: Tensor) -> Cache:
        """The cache of some sequences."""
        return [(keys[index], values[index]) for keys, values in cache]


def next_tokens(view: Tokens) -> Tensor:
    """Labels ``(n, t)``: the token after each, ``IGNORED`` where there is none."""
    labels = torch.full_like(view.ids, IGNORED)
    labels[:, :-1] = view.ids[:, 1:].masked_fill(~view.mask[:, 1:], IGNORED)
    return labels
