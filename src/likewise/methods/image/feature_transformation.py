"""FT: MoCo v2 on transformed features, positives moved apart and negatives mixed, and the scores drawn as curves."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.learner import Embeddings, Encoder, Step
from likewise.core.recipe import Recipe
from likewise.core.registry import recipe, register
from likewise.functional import extrapolate, info_nce, interpolate, score_statistics
from likewise.parts.momentum_contrast import MomentumContrast
from likewise.recipes.image import imagenet_moco, small_moco, tiny_moco


def symmetric_beta(draws: Draws, alpha: float, *shape: int) -> Tensor:
    """``(n, *shape)`` draws of Beta(alpha, alpha), alpha above 1/2, by the polar method (Devroye, 1986, IX.4.1)."""
    radius = (1 - draws.uniform(*shape) ** (2 / (2 * alpha - 1))).sqrt()
    return (1 + radius * torch.cos(2 * math.pi * draws.uniform(*shape))) / 2


@register(
    Card(
        slug="feature-transformation",
        title="Improving Contrastive Learning by Visualizing Feature Transformation",
        name="FT",
        paper="arXiv:2108.02982",
        year=2021,
        modality="image",
        task="representation learning without labels",
        contrasts="a crop with the momentum key of another crop, moved away from each other, against negatives that "
        "are mixed from pairs of a queue",
        pick="MoCo that learns more from each positive pair, at no cost; its curves show how hard the task is.",
        equation=r"\mathcal{L} = -\log\frac{e^{q'\cdot k'/\tau}}{e^{q'\cdot k'/\tau} + \sum_j e^{q'\cdot n'_j/\tau}},"
        r"\quad q' = \lambda q + (1-\lambda)k,\quad k' = \lambda k + (1-\lambda)q,\quad "
        r"n'_j = \mu n_j + (1-\mu)n_{\pi(j)}",
        code="DTennant/CL-Visualizing-Feature-Transformation (its licence was deleted in a later commit)",
        traits=Traits(splits="gather", permutable=False, memory=("momentum encoder", "queue")),
        oracle="feature-transformation.npz",
        claim=Claim(
            says="Positives moved apart and mixed negatives give MoCo v2 a better linear accuracy under the same "
            "budget.",
            data="fashion-mnist",
            metric="linear",
            beats="moco-v2",
            settings=(("data.limit", 4000), ("data.test_limit", 2000), ("epochs", 8), ("queue_size", 512)),
        ),
        deviations=(
            "Lambda, mu and the permutation are drawn from the state of the queue, so that processes agree, and shares "
            "for each dimension from the sample's id, so that they do not depend on its place in the batch.",
            "Both shapes of the Beta distribution must be above 1/2; the paper's are 2 and 1.6.",
            "Scores are recorded as means over the batch, in full precision, with and without the transformation; the "
            "code writes every sample's in half precision.",
            "As for moco-v2: Shuffling BN within a process, momentum update at the end of a step.",
        ),
    )
)
class FeatureTransformation(MomentumContrast):
    r"""FT (Zhu et al., 2021): positive extrapolation and negative interpolation on MoCo v2.

    With lambda = 1 + Beta(a, a) the pair's score S falls to :math:`S + 2\lambda(1-\lambda)(1-S)`: a harder positive.
    Negatives are each mixed with another of the queue, more diverse ones. The queue keeps the original keys, the
    gradient flows through q in q' and in k', and nothing is made unit again.

    A step logs the scores' mean and variance, of positives and negatives, and the soft maximum of the negatives, of
    the transformed features and (``plain_...``) of the original ones; a run's page draws them as curves in pairs.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        positives: move positives apart. Without this and ``negatives`` it is MoCo v2 with its scores recorded.
        negatives: mix negatives.
        positive_alpha: a of the positives' Beta distribution, above 1/2.
        negative_alpha: the same for negatives.
        by_dimension: whose shares are drawn for each dimension of each row, not one for the batch.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        queue_size: K.
        momentum: of the key encoder.
        temperature: tau.
        norm_groups: parts of a batch with batch-norm statistics of their own; 1 turns Shuffling BN off.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        positives: bool = True,
        negatives: bool = True,
        positive_alpha: float = 2.0,
        negative_alpha: float = 1.6,
        by_dimension: Literal["none", "positives", "negatives", "both"] = "none",
        width: int | None = None,
        dim: int = 128,
        queue_size: int = 65_536,
        momentum: float = 0.999,
        temperature: float = 0.2,
        norm_groups: int = 8,
    ) -> None:
        super().__init__(
            encoder, width=width, dim=dim, queue_size=queue_size, momentum=momentum, temperature=temperature,
            norm_groups=norm_groups,
        )  # fmt: skip
        for name, alpha in (("positive_alpha", positive_alpha), ("negative_alpha", negative_alpha)):
            if not alpha > 0.5:
                raise InputError(f"feature-transformation: {name} must be above 0.5, got {alpha}")
        self.positives, self.negatives = positives, negatives
        self.positive_alpha, self.negative_alpha = positive_alpha, negative_alpha
        self.by_dimension = by_dimension

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """InfoNCE of the transformed features; logs statistics of the scores before and after."""
        query, key = normalize(z["query"], dim=1), self.keys(z)
        queue = self.queue.read().to(key.dtype)
        features = self._transformed(query, key, queue, batch.ids)
        loss = info_nce(*features, temperature=self.loss.temperature).mean()
        with torch.no_grad():
            logs = self._scores(*features)
            logs |= {f"plain_{name}": value for name, value in self._scores(query, key, queue).items()}
        return Step(loss, logs, {"key": key})

    def _transformed(self, query: Tensor, key: Tensor, queue: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        step, dim = int(self.queue.written), query.shape[1]
        everyone = torch.zeros(1, dtype=torch.int64, device=ids.device)  # one draw, the same on every process
        if self.positives:
            single = self.by_dimension in ("none", "negatives")
            draws = Draws(0, step, everyone if single else ids).fork("positives")
            share = 1 + symmetric_beta(draws, self.positive_alpha, 1 if single else dim).to(query.dtype)
            query, key = extrapolate(query, key, share)
        if self.negatives:
            single = self.by_dimension in ("none", "positives")
            places = torch.arange(len(queue), device=ids.device)
            order = Draws(0, step, places).fork("order").uniform().argsort()
            draws = Draws(0, step, everyone if single else places).fork("negatives")
            share = symmetric_beta(draws, self.negative_alpha, 1 if single else dim).to(queue.dtype)
            queue = interpolate(queue, order, share)
        return query, key, queue

    def _scores(self, query: Tensor, key: Tensor, negatives: Tensor) -> dict[str, Tensor]:
        """Means over the batch, and the variance of the positives' scores over it."""
        held = score_statistics(query, key, negatives, temperature=self.loss.temperature)
        spread = held["positive_score"].var(correction=min(1, len(query) - 1))
        return {name: value.mean() for name, value in held.items()} | {"positive_variance": spread}


@recipe(FeatureTransformation)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_moco(FeatureTransformation)


@recipe(FeatureTransformation)
def small() -> Recipe:
    """Minutes on two cores: as moco-v2's."""
    return small_moco(FeatureTransformation)


@recipe(FeatureTransformation)
def paper() -> Recipe:
    """ImageNet as in the paper: moco-v2's recipe."""
    return imagenet_moco(FeatureTransformation)
