"""Text from a language model and a decoder: one loop for all decoders, over anything that gives logits and states."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from likewise.core import registry
from likewise.core.decoder import Decoder, Sources
from likewise.core.draws import Draws
from likewise.core.errors import InputError, near
from likewise.core.recipe import spec


class LanguageModel(Protocol):
    """What the loop needs of a model; its caches are its own affair."""

    def read(self, ids: Tensor, cache: Any = None) -> tuple[Tensor, Tensor, Any]:
        """Logits ``(n, t, v)`` and last hidden states ``(n, t, d)`` of new tokens ``ids (n, t)``, and the cache.

        Args:
            ids: that come after the tokens of ``cache``.
            cache: of the tokens before; it may be used up.
        """
        ...

    def select(self, cache: Any, index: Tensor) -> Any:
        """The cache of the sequences at ``index (k,)``, which may repeat. The old cache may be used up."""
        ...


class _State:
    """Where ``n`` sequences stand: tokens, hidden states, next logits, cache; and what was looked up ahead."""

    def __init__(self, model: LanguageModel, ids: Tensor) -> None:
        self.model, self.tokens = model, ids
        logits, self.history, self.cache = model.read(ids)
        self.logits = logits[:, -1]
        self._looked: Tensor | None = None

    def ahead(self, candidates: Tensor) -> Tensor:
        """See :class:`likewise.core.decoder.Sources`."""
        n, k = candidates.shape
        if self._looked is not None:
            raise RuntimeError("a decoder looks ahead once at a position")
        self._looked = candidates
        repeated = self.model.select(self.cache, torch.arange(n, device=candidates.device).repeat_interleave(k))
        logits, hidden, self.cache = self.model.read(candidates.reshape(-1, 1), repeated)
        self._next = logits[:, 0], hidden[:, 0]
        return hidden.view(n, k, -1)

    def append(self, rows: Tensor, chosen: Tensor) -> None:
        """Go on with sequences at ``rows (m,)``, by tokens ``chosen (m,)``."""
        looked, self._looked = self._looked, None
        if looked is None:
            same = torch.equal(rows, torch.arange(len(self.tokens), device=rows.device))
            cache = self.cache if same else self.model.select(self.cache, rows)
            logits, hidden, self.cache = self.model.read(chosen[:, None], cache)
            logits, hidden = logits[:, 0], hidden[:, 0]
        else:
            at = looked[rows] == chosen[:, None]
            if not at.any(1).all():
                raise RuntimeError("a decoder that looks ahead rules out all tokens but its candidates")
            flat = rows * looked.shape[1] + at.long().argmax(1)
            logits, hidden = (value[flat] for value in self._next)
            self.cache = self.model.select(self.cache, flat)
        self.tokens = torch.cat([self.tokens[rows], chosen[:, None]], 1)
        self.history, self.logits = torch.cat([self.history[rows], hidden[:, None]], 1), logits


@torch.no_grad()
def generate(
    model: LanguageModel,
    decoder: Decoder,
    prompts: Tensor,
    steps: int,
    *,
    banned: Collection[int] = (),
    end: int | None = None,
    seed: int = 0,
    ids: Tensor | None = None,
    others: Mapping[str, LanguageModel] | None = None,
) -> Tensor:
    """Continue prompts of one length; a continuation depends on its prompt, id and seed, not on other prompts.

    Args:
        model: the expert, in evaluation mode.
        decoder: scores the next token.
        prompts: ``(n, t)`` int64, at least a token each.
        steps: tokens to generate.
        banned: tokens that never come.
        end: token after which a text has ended; what follows it in the answer means nothing. All stop early once
            each has ended. None: no text ends.
        seed: of what is drawn.
        ids: ``(n,)`` int64, which draws a prompt gets; its position if None.
        others: models behind the other sources that the decoder needs.

    Returns:
        ``(n, m)`` int64: the new tokens, ``m`` at most ``steps``.

    Raises:
        InputError: no prompt, no steps, or a source that is not there.
    """
    n, length = prompts.shape
    if length < 1 or steps < 1:
        raise InputError(f"{length} tokens of a prompt and {steps} to generate: both must be at least 1")
    missing = [name for name in decoder.needs if name != "expert" and name not in (others or {})]
    if missing:
        raise InputError(f"{type(decoder).__name__} needs the source {missing[0]!r}")
    width, device = decoder.beams, prompts.device
    first = torch.arange(n, device=device).repeat_interleave(width)
    state = _State(model, prompts[first])
    beside = {name: _State(other, prompts[first]) for name, other in (others or {}).items() if name in decoder.needs}
    # of equal beams the first alone counts, until they have become different
    total = torch.full((n, width), -torch.inf, device=device)
    total[:, 0] = 0
    ended = torch.zeros(n * width, dtype=torch.bool, device=device)
    draws = Draws(seed, 0, first if ids is None else ids[first])
    ban = torch.tensor(sorted(banned), dtype=torch.long, device=device)
    for _ in range(steps):
        logits = {"expert": state.logits} | {name: other.logits for name, other in beside.items()}
        held = {name: value.float().index_fill(1, ban, -torch.inf) for name, value in logits.items()}
        scores = decoder.score(Sources(held, state.tokens, state.history, state.ahead))
        if width > 1:
            total, rows, chosen = _best_beams(total, scores, ended, end)
        else:
            rows, chosen = first, _choose(scores, draws.uniform() if decoder.draws else None)
        for one in (state, *beside.values()):
            one.append(rows, chosen)
        ended = ended[rows] | (chosen == end) if end is not None else ended
        if end is not None and bool(ended.all()):
            break
    return state.tokens.view(n, width, -1)[:, 0, length:]


def _choose(scores: Tensor, uniform: Tensor | None) -> Tensor:
    """The best token of each row, or one drawn from the softmax by numbers ``(n,)`` in [0, 1)."""
    if uniform is None:
        return scores.argmax(1)
    shares = scores.double().softmax(1).cumsum(1)
    # the last token with a share takes what rounding leaves over
    last = scores.isfinite().long().cumsum(1).argmax(1)
    return torch.minimum((shares <= uniform[:, None].double() * shares[:, -1:]).sum(1), last)


def _best_beams(total: Tensor, scores: Tensor, ended: Tensor, end: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """The beams ``(n, width)`` that lead after a step, best first: their totals, where each comes from, its token."""
    n, width = total.shape
    if end is not None and ended.any():
        # an ended text stays what it is
        stay = torch.full_like(scores[:1], -torch.inf)
        stay[:, end] = 0
        scores = torch.where(ended[:, None], stay, scores)
    size = scores.shape[1]
    best = (total.view(-1, 1) + scores).view(n, -1).topk(width, dim=1)
    rows = torch.arange(n, device=total.device)[:, None] * width + best.indices // size
    return best.values, rows.flatten(), (best.indices % size).flatten()


def decoder(name: str, settings: Mapping[str, Any] | None = None) -> Decoder:
    """A decoder by its name on the command line; settings may be strings, as people type them.

    Raises:
        InputError: an unknown name or setting, or a method that is no decoder.
    """
    method = registry.load(name)
    if method.card.kind != "decoder":
        names = [slug for slug, found in registry.listings().items() if found.card.kind == "decoder"]
        raise InputError(f"{name} is a {method.card.kind}, not a decoder{near(name, names)}")
    out: Decoder = spec(method.cls, **(settings or {})).build()
    return out


@dataclass(frozen=True)
class Writer:
    """A language model and its tokenizer.

    Attributes:
        model: in evaluation mode.
        encode: a text's tokens.
        decode: tokens' text.
        start: token before each prompt, or None.
        end: token after which a text has ended, or None.
        banned: tokens that never come.
        device: of the model.
    """

    model: LanguageModel
    encode: Callable[[str], Sequence[int]]
    decode: Callable[[Sequence[int]], str]
    start: int | None = None
    end: int | None = None
    banned: tuple[int, ...] = ()
    device: torch.device | str = "cpu"

    def tokens(self, prompt: str) -> list[int]:
        """What the model reads of a prompt."""
        out = [*([] if self.start is None else [self.start]), *self.encode(prompt)]
        if not out:
            raise InputError("this model has no token to begin a text with: give it a prompt")
        return out

    def write(
        self, prompts: Sequence[str], decoder: Decoder, steps: int = 64, *, seed: int = 0, stop: bool = True
    ) -> list[str]:
        """What follows each prompt.

        Args:
            prompts: any number; an empty one begins a text.
            decoder: see :func:`decoder`.
            steps: tokens to write, at most.
            seed: of what is drawn; a prompt's draws belong to its place among the prompts.
            stop: at the model's end of a text; else it goes on.
        """
        read = [self.tokens(prompt) for prompt in prompts]
        banned = self.banned if stop or self.end is None else (*self.banned, self.end)
        out = [""] * len(read)
        for length in sorted({len(ids) for ids in read}):
            places = [i for i, ids in enumerate(read) if len(ids) == length]
            batch = torch.tensor([read[i] for i in places], device=self.device)
            which = torch.tensor(places, device=self.device)
            end = self.end if stop else None
            new = generate(self.model, decoder, batch, steps, banned=banned, end=end, seed=seed, ids=which)
            for place, ids in zip(places, new.tolist()):
                out[place] = self.decode(until(ids, end))
        return out


def until(ids: Sequence[int], end: int | None) -> list[int]:
    """Tokens up to and without the first ``end``."""
    held = list(ids)
    return held[: held.index(end)] if end in held else held
