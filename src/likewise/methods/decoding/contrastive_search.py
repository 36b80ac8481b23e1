"""Contrastive search: of the likely next tokens, the one least like what the text has said."""

import torch
from torch import Tensor

from likewise.core.card import Card, Claim
from likewise.core.decoder import Sources
from likewise.core.errors import InputError
from likewise.core.registry import register
from likewise.functional.text import contrastive_score


@register(
    Card(
        slug="contrastive-search",
        title="Contrastive Search Is What You Need For Neural Text Generation",
        name="Contrastive search",
        paper="arXiv:2210.14140",
        year=2023,
        modality="text",
        kind="decoder",
        task="continues a text, the same way each time",
        contrasts="the hidden state of each likely next token with those of all tokens so far",
        pick="To continue a text without repetition and without chance. The model's hidden states need to be spread: "
        "look at its isotropy first.",
        equation=r"x_t = \arg\max_{v \in V^{(k)}} (1-\alpha)\, p(v \mid x_{<t})"
        r" - \alpha \max_{j < t} \cos(h_v, h_{x_j})",
        code="yxuansu/SimCTG (MIT)",
        oracle="simctg.npz",
        claim=Claim(
            says="Under one language model, contrastive search is at least three times as diverse as greedy search, "
            "and more coherent than nucleus sampling",
            data="king-james",
            metric="diversity",
            beats="greedy",
            under="simctg",
            times=3.0,
            further=(("coherence", "nucleus", 1.0),),
        ),
        deviations=(
            "Of candidates with exactly equal scores the one with the smaller number in the vocabulary is taken, not "
            "the more likely one.",
            "Padding, the token for unknown characters and other tokens that may not come are taken out before the "
            "probabilities.",
        ),
    )
)
class ContrastiveSearch:
    r"""Contrastive search (Su et al., 2022, arXiv:2202.06417, equation 5; Su and Collier, 2023).

    .. math:: (1 - \alpha)\, p(v) - \alpha \max_{j < t} \cos(h_v, h_{x_j})

    over the ``k`` most likely tokens, with p over the whole vocabulary and h the last hidden states, the prompt's
    included. One pass of the model over ``k`` sequences a token. With ``k=1`` or ``alpha=0`` it is greedy search.

    Args:
        k: candidates.
        alpha: weight of the penalty, 0 to 1.
    """

    needs: tuple[str, ...] = ()
    draws = False
    beams = 1

    def __init__(self, *, k: int = 5, alpha: float = 0.6) -> None:
        if k < 1:
            raise InputError(f"k={k}: at least 1 candidate")
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha={alpha} is a weight, from 0 to 1")
        self.k, self.alpha = k, alpha

    def score(self, sources: Sources) -> Tensor:
        """Scores of the candidates; every other token is ruled out."""
        logits = sources.logits["expert"]
        probs, candidates = logits.softmax(1).topk(min(self.k, logits.shape[1]), dim=1)
        found = contrastive_score(sources.history, sources.ahead(candidates), probs, alpha=self.alpha)
        found = found.to(logits.dtype).masked_fill(logits.gather(1, candidates) == -torch.inf, -torch.inf)
        return torch.full_like(logits, -torch.inf).scatter(1, candidates, found)
