"""What a decoder promises, on a small random language model."""

import torch
from torch import Tensor

from likewise.core.card import Card
from likewise.core.decoder import Decoder, Sources
from likewise.parts.encoders.gpt import GPT
from likewise.parts.generation import generate
from likewise.parts.language import LanguageLearner
from likewise.testing.contract import check
from likewise.testing.subject import Subject, expect

TOKENS, STEPS = 40, 6
BANNED = (0, 7)


def decoders_only(card: Card) -> str:
    """For checks of methods that decode."""
    return "" if card.kind == "decoder" else f"a {card.kind} decodes nothing"


def _model(seed: int) -> LanguageLearner:
    """A random model that is sure enough of its next token for decoders to differ."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        out = LanguageLearner(GPT(depth=1, dim=16, heads=2, num_tokens=TOKENS)).eval()
        out.encoder.embedding.weight.mul_(20)
    return out


def _prompts(n: int) -> Tensor:
    return torch.arange(3 * n).view(n, 3) * 11 % (TOKENS - 10) + 8


def _texts(subject: Subject, prompts: Tensor, *, seed: int = 0, ids: Tensor | None = None) -> Tensor:
    decoder: Decoder = subject.method.cls()
    others = {name: _model(number + 1) for number, name in enumerate(decoder.needs)}
    return generate(_model(0), decoder, prompts, STEPS, banned=BANNED, seed=seed, ids=ids, others=others)


def _sources(decoder: Decoder, logits: Tensor) -> Sources:
    """A position with these logits of every source, after three tokens."""
    states = torch.ones(len(logits), 3, 4).cumsum(1).roll(1, 2)
    return Sources(
        logits={name: logits.clone() for name in ("expert", *decoder.needs)},
        tokens=_prompts(len(logits)),
        history=states,
        ahead=lambda candidates: states.mean(1)[:, None] + candidates[..., None],
    )


@check(decoders_only)
def scores_are_of_every_token(subject: Subject) -> None:
    """``score`` gives ``(n, vocabulary)`` without NaN, some token of each row is left, and what may not come is not."""
    decoder: Decoder = subject.method.cls()
    expect(isinstance(decoder, Decoder), "it lacks needs, draws, beams or score")
    usual = torch.linspace(-4, 4, TOKENS).repeat(3, 1)
    for what, logits in (("usual", usual), ("equal", usual * 0), ("extreme", usual * 1e4)):
        logits = logits.index_fill(1, torch.tensor(BANNED), -torch.inf)
        scores = decoder.score(_sources(decoder, logits))
        expect(scores.shape == logits.shape, f"{what} logits: scores {tuple(scores.shape)} of {tuple(logits.shape)}")
        expect(not scores.isnan().any(), f"{what} logits: a score is not a number")
        expect(scores.isfinite().any(1).all(), f"{what} logits: every token of a row is ruled out")
        expect(not scores.eq(torch.inf).any(), f"{what} logits: an infinite score")
        expect((scores[:, list(BANNED)] == -torch.inf).all(), f"{what} logits: a token that may not come has a score")


@check(decoders_only)
def small_vocabularies_are_harmless(subject: Subject) -> None:
    """One token that may come is taken, whatever the decoder's settings."""
    decoder: Decoder = subject.method.cls()
    logits = torch.full((2, 4), -torch.inf)
    logits[:, 2] = 0.5
    scores = decoder.score(_sources(decoder, logits))
    expect((scores.argmax(1) == 2).all(), "another token than the only one that may come")
    expect((scores[:, [0, 1, 3]] == -torch.inf).all(), "a token that may not come has a score")


@check(decoders_only)
def a_seed_decides_the_text(subject: Subject) -> None:
    """The same seed gives the same text, from new objects; who does not draw gives it under any seed."""
    prompts = _prompts(4)
    first = _texts(subject, prompts)
    expect(torch.equal(first, _texts(subject, prompts)), "the same seed gave two texts")
    same = torch.equal(first, _texts(subject, prompts, seed=1))
    if subject.method.cls().draws:
        expect(not same, "it says that it draws, and two seeds gave the same texts")
    else:
        expect(same, "it says that it does not draw, and two seeds gave different texts")


@check(decoders_only)
def a_prompt_is_continued_alone(subject: Subject) -> None:
    """A text depends on its own prompt alone: neither on the order of the batch nor on what else is in it."""
    prompts, ids = _prompts(4), torch.arange(4)
    texts = _texts(subject, prompts, ids=ids)
    order = torch.tensor([2, 0, 3, 1])
    expect(torch.equal(texts[order], _texts(subject, prompts[order], ids=ids[order])), "another order, another text")
    one = _texts(subject, prompts[2:3], ids=ids[2:3])
    expect(torch.equal(texts[2:3], one), "a prompt alone is continued in another way than among others")


@check(decoders_only)
def banned_tokens_never_come(subject: Subject) -> None:
    """No text has a token that was ruled out, and each has all its tokens."""
    texts = _texts(subject, _prompts(6))
    expect(texts.shape == (6, STEPS), f"texts {tuple(texts.shape)}, not {(6, STEPS)}")
    expect(not torch.isin(texts, torch.tensor(BANNED)).any(), "a token that was ruled out has come")
