"""Sequences of dialogues about a picture, with a marker token wherever an embedding is read."""

import torch
from torch import Tensor, nn

from likewise.core.batch import Prompt, Tokens, View
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.core.tokens import ASSISTANT, EMBED, MASK, PAD, USER, words_of

REWRITE = "Please rewrite your last response in human-readable language."
GENERATE = (
    "Generate a response that first reconstructs your very last response by inferring any masked information, then "
    "acknowledges or rephrases the complete what I asked you, and finally integrates the Answer information seamlessly."
)


def joined(*pieces: Tokens | int) -> Tokens:
    """Pieces ``(..., t)`` and single tokens, one after the other; the first is a piece or followed by one."""
    like = next(p for p in pieces if isinstance(p, Tokens)).ids
    held = [p if isinstance(p, Tokens) else _single(p, like) for p in pieces]
    return Tokens(torch.cat([p.ids for p in held], -1), torch.cat([p.mask for p in held], -1))


def _single(token: int, like: Tensor) -> Tokens:
    ids = torch.full((*like.shape[:-1], 1), token, device=like.device)
    return Tokens(ids, torch.ones_like(ids, dtype=torch.bool))


def packed(tokens: Tokens) -> Tokens:
    """The tokens of each row ``(n, t)`` without gaps, padding behind, as wide as the longest."""
    order = (~tokens.mask).to(torch.int8).argsort(dim=1, stable=True)[:, : int(tokens.mask.sum(1).max())]
    return Tokens(tokens.ids.gather(1, order), tokens.mask.gather(1, order))


def dialogue(texts: Tokens) -> Tokens:
    """One sequence ``(n, t)`` of k texts ``(n, k, s)``: for each the user's turn, and the marker as the answer."""
    turns = joined(USER, texts, ASSISTANT, EMBED)
    return packed(Tokens(turns.ids.flatten(1), turns.mask.flatten(1)))


def masked(text: Tokens, whole: Tensor, each: Tensor) -> Tokens:
    """Text ``(n, t)`` with words hidden: all as one where ``whole (n,)``, else where ``each (n, t)``; runs are one."""
    hidden = (each | whole[:, None]) & text.mask
    again = hidden & nn.functional.pad(hidden, (1, 0))[:, :-1]
    return Tokens(torch.where(hidden, MASK, text.ids), text.mask & ~again)


class _Dialogues(nn.Module):
    """Base: pictures and texts of single turns, as they are evaluated."""

    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """``query``, a picture with its first question, and ``target``, the answer."""
        return self.turn(columns, 0)

    def turn(self, columns: dict[str, View], number: int) -> dict[str, View]:
        """The same of another turn."""
        image, question, answer = columns_of(columns)
        mine = torch.full((len(image), 1), number, device=image.device)
        return {"query": _asked(image, dialogue(_taken(question, mine))), "target": dialogue(_taken(answer, mine))}


@part("views")
class Turns(_Dialogues):
    """All turns of a picture in one sequence, in an order drawn for each picture; the answers in the same order.

    Args:
        turns: how many of them; 0: all.
    """

    def __init__(self, turns: int = 0) -> None:
        super().__init__()
        if turns < 0:
            raise InputError(f"turns={turns} must be at least 0")
        self.turns = turns

    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """``query``: the picture and the questions; ``target``: the answers."""
        image, question, answer = columns_of(columns)
        num = question.ids.shape[1]
        order = draws.fork("order").uniform(num).argsort(1)[:, : self.turns or num]
        return {"query": _asked(image, dialogue(_taken(question, order))), "target": dialogue(_taken(answer, order))}


@part("views")
class Reconstruction(_Dialogues):
    """One turn, asked and answered, each with the other half masked and to be reconstructed before a second marker.

    The answer to another question about the picture is the hard negative.

    Args:
        whole: probability that the other half is one mask.
        each: share of its words that are masked otherwise.
    """

    def __init__(self, *, whole: float = 0.5, each: float = 0.5) -> None:
        super().__init__()
        if not 0 <= whole <= 1 or not 0 <= each <= 1:
            raise InputError(f"reconstruction: whole={whole} and each={each} are probabilities")
        self.whole, self.each = whole, each

    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """``query`` and ``target`` with two markers each, ``negative`` with one."""
        image, question, answer = columns_of(columns)
        num = question.ids.shape[1]
        if num < 2:
            raise InputError("a hard negative is the answer to another question about a picture: give it two turns")
        order = draws.fork("order").uniform(num).argsort(1)
        mine, other = order[:, :1], order[:, 1:2]
        q, a = (_first(_taken(text, mine)) for text in (question, answer))
        return {
            "query": _asked(image, self._both(q, a, draws.fork("query"))),
            "target": self._both(a, q, draws.fork("target")),
            "negative": dialogue(_taken(answer, other)),
        }

    def _both(self, told: Tokens, counterpart: Tokens, draws: Draws) -> Tokens:
        hidden = masked(counterpart, draws.bernoulli(self.whole), draws.uniform(counterpart.ids.shape[1]) < self.each)
        rewrite, generate = (_repeated(text, told.ids) for text in (REWRITE, GENERATE))
        first, last = (USER, told, ASSISTANT, EMBED), (USER, generate, ASSISTANT, EMBED)
        return packed(joined(*first, USER, rewrite, ASSISTANT, hidden, *last))


def columns_of(columns: dict[str, View]) -> tuple[Tensor, Tokens, Tokens]:
    """Pictures in 0..1, questions and answers."""
    image, question, answer = (columns.get(name) for name in ("image", "question", "answer"))
    if not isinstance(image, Tensor) or not isinstance(question, Tokens) or not isinstance(answer, Tokens):
        raise InputError(f"these views are for pictures with questions and answers; the data has {', '.join(columns)}")
    return image.float() / 255, question, answer


def _asked(image: Tensor, tokens: Tokens) -> Prompt:
    return Prompt(image, tokens.ids, tokens.mask)


def _taken(texts: Tokens, order: Tensor) -> Tokens:
    """The turns ``order (n, j)`` of texts ``(n, k, t)``."""
    at = order[:, :, None].expand(-1, -1, texts.ids.shape[2])
    return Tokens(texts.ids.gather(1, at), texts.mask.gather(1, at))


def _first(texts: Tokens) -> Tokens:
    return Tokens(texts.ids[:, 0], texts.mask[:, 0])


def _repeated(text: str, like: Tensor) -> Tokens:
    ids = words_of([[text]]).ids[0].to(like.device).expand(len(like), -1)
    return Tokens(ids, ids != PAD)
