"""Equations of text generation: contrast between the tokens of a sequence, what a token costs, and repetition.

Hidden states are ``(n, t, d)``: a row per sequence and token. A mask ``(n, t)`` is true where there is a token.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likewise.functional.precision import equation
from likewise.similarity import unit_rows

IGNORED = -100
"""Label of a position that is not predicted."""


@equation
def next_token_nll(logits: Float[Tensor, "n t v"], labels: Int[Tensor, "n t"]) -> Float[Tensor, "n t"]:
    """Negative log-likelihood of each label under the logits of its position; 0 where the label is ``IGNORED``."""
    return F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")


@equation
def token_contrast(
    hidden: Float[Tensor, "n t d"], mask: Bool[Tensor, "n t"], *, margin: float = 0.5, prefix: int = 0
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    r"""SimCTG's contrast: other tokens of a sequence stay ``margin`` less similar than a token is to itself.

    .. math:: \ell_b = \sum_{i \ne j \le n_b} \max(0, \rho - s_{ii} + s_{ij}), \qquad \text{pairs}_b = n_b(n_b - 1)

    with s the cosine. The loss is the ratio of the sums over the whole batch, not a mean of ratios (Su et al.,
    arXiv:2202.06417, equation 2 and its code). Each sequence has its own small ``t x t`` table.

    Args:
        hidden: of the last layer.
        mask: the tokens.
        margin: rho.
        prefix: pairs within the first so many positions are left out.

    Returns:
        For each sequence, the sum of its penalties, and how many pairs it has (0 of one token or none).
    """
    rows = unit_rows(hidden.flatten(0, 1)).view_as(hidden)
    s = rows @ rows.mT
    pairs = mask[:, :, None] & mask[:, None, :] & ~torch.eye(s.shape[1], dtype=torch.bool, device=s.device)
    pairs[:, :prefix, :prefix] = False
    own = s.diagonal(dim1=1, dim2=2)[:, :, None]
    penalty = (margin - own + s).clamp(min=0).masked_fill(~pairs, 0)
    return penalty.sum((1, 2)), pairs.sum((1, 2))


@equation
def token_similarity(
    hidden: Float[Tensor, "n t d"], mask: Bool[Tensor, "n t"]
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    r"""For each sequence, the sum of cosines of its pairs of different tokens, and how many ordered pairs there are.

    Isotropy of a language model on a corpus is 1 minus the ratio of the corpus sums (Su and Collier,
    arXiv:2210.14140, equation 2). Linear in the length: the sum is :math:`|\sum_i h_i|^2 - \sum_i |h_i|^2`.
    """
    rows = unit_rows(hidden.flatten(0, 1)).view_as(hidden) * mask[..., None]
    count = mask.sum(1)
    return rows.sum(1).square().sum(1) - rows.square().sum((1, 2)), count * (count - 1)


@equation
def contrastive_score(
    history: Float[Tensor, "n t d"],
    candidates: Float[Tensor, "n k d"],
    probs: Float[Tensor, "n k"],
    *,
    alpha: float = 0.6,
) -> Float[Tensor, "n k"]:
    r"""Contrastive search's score of ``k`` candidates for the next token (arXiv:2202.06417, equation 5).

    .. math:: (1 - \alpha)\, p(v) - \alpha \max_{j \le t} \cos(h_v, h_j)

    Args:
        history: hidden states of the tokens so far, the prompt's too.
        candidates: hidden state that each candidate has when it is appended.
        probs: of the candidates, over the whole vocabulary.
        alpha: weight of the penalty.
    """
    old = unit_rows(history.flatten(0, 1)).view_as(history)
    new = unit_rows(candidates.flatten(0, 1)).view_as(candidates)
    return (1 - alpha) * probs - alpha * (new @ old.mT).amax(2)


def n_grams(tokens: Sequence[object], n: int, *, variant: Literal["paper", "code"] = "paper") -> tuple[int, int]:
    """How many different n-grams a text has, and how many in all.

    Args:
        tokens: of the text.
        n: how long they are.
        variant: the authors' code stops one early and misses the last n-gram of each text.
    """
    count = max(0, len(tokens) - n + (variant == "paper"))
    return len({tuple(tokens[i : i + n]) for i in range(count)}), count


def repetition(
    texts: Sequence[Sequence[object]],
    orders: Sequence[int] = (2, 3, 4),
    *,
    variant: Literal["paper", "code"] = "paper",
) -> dict[str, float]:
    r"""``rep2``, ``rep3``, ``rep4`` in percent over a corpus, and ``diversity``, the product of what is left.

    .. math:: \text{rep-}n = 100\,(1 - \text{different} / \text{all}), \qquad
        \text{diversity} = \prod_n (1 - \text{rep-}n / 100)

    Counts are within each text and summed over the texts (arXiv:2202.06417, section 5.1). Without n-grams nothing is
    repeated. The code rounds each rep-n to two decimals first.
    """
    out: dict[str, float] = {}
    diversity = 1.0
    for n in orders:
        counts = [n_grams(tokens, n, variant=variant) for tokens in texts]
        total = sum(c for _, c in counts)
        share = 100 * (1 - sum(d for d, _ in counts) / total) if total else 0.0
        out[f"rep{n}"] = round(share, 2) if variant == "code" else share
        diversity *= 1 - out[f"rep{n}"] / 100
    return out | {"diversity": diversity}
