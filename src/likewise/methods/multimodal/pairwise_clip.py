"""Pairwise CLIP: image-text contrast for any number of modalities, a pair at a time."""

from collections.abc import Sequence

import torch
from torch import Tensor

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Context, Embeddings, Step
from likewise.core.recipe import Recipe
from likewise.core.registry import recipe, register
from likewise.functional import pairwise_clip
from likewise.parts.towers import ModalityLearner, Towers
from likewise.recipes.multimodal import small_towers, tiny_towers
from likewise.similarity import unit_rows


@register(
    Card(
        slug="pairwise-clip",
        title="Learning Transferable Visual Models From Natural Language Supervision",
        name="Pairwise CLIP",
        paper="arXiv:2103.00020",
        year=2021,
        modality="multimodal",
        task="representations of several modalities that find any of them from each other one",
        contrasts="two modalities of a sample with those of other samples, for every pair of modalities",
        pick="For two modalities, or where any one of them tells enough about each other one. The baseline of symile.",
        equation=r"\mathcal{L} = \sum_{m<o}\frac{1}{2N}\sum_i -\log\frac{e^{s\, r^m_i\cdot r^o_i}}"
        r"{\sum_j e^{s\, r^m_i\cdot r^o_j}} - \log\frac{e^{s\, r^m_i\cdot r^o_i}}{\sum_j e^{s\, r^m_j\cdot r^o_i}}",
        code="rajesh-lab/symile (MIT)",
        traits=Traits(splits="gather", row_independent=True),
        oracle="symile.npz",
        deviations=("Three modalities and more, as the baseline in Symile's code: the sum over all pairs.",),
        status="adapted",
    )
)
class PairwiseCLIP(ModalityLearner):
    r"""CLIP (Radford et al., 2021) over every pair of modalities, with one scale for all.

    Args:
        encoder: of every modality.
        temperature: 1 / s at the start.
    """

    def __init__(self, encoder: Towers, *, temperature: float = 0.07) -> None:
        super().__init__(encoder, temperature=temperature)

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The sum over pairs, the mean over samples."""
        scale = self.scale()
        loss = pairwise_clip([unit_rows(z[role]) for role in self.roles], scale, ids=batch.ids, comm=comm).mean()
        return Step(loss, {"scale": scale.detach()})

    def after_update(self, ctx: Context) -> None:
        """The scale stays between 1 and 100, as CLIP's."""
        self.scale.clamp_()

    def query(self, others: Sequence[Tensor]) -> Tensor:
        """The sum of the others: a candidate's score is the sum of its cosines with them."""
        return torch.stack(list(others)).sum(0)


@recipe(PairwiseCLIP)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_towers(PairwiseCLIP)


@recipe(PairwiseCLIP)
def small() -> Recipe:
    """Minutes on two cores: triples of digits."""
    return small_towers(PairwiseCLIP)


@recipe(PairwiseCLIP)
def paper() -> Recipe:
    """The settings of CLIP's appendix that do not hang on its networks: batches of 32768, Adam with weight decay."""
    return small_towers(PairwiseCLIP, batch=32_768, epochs=32)
