"""Symile: any number of modalities at once, by the inner product of more than two vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.learner import Context, Embeddings, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.data.triples import xor_triples
from likewise.functional import multilinear_nce, product
from likewise.functional.multilinear import Negatives
from likewise.parts.optimizers import adamw
from likewise.parts.towers import ModalityLearner, Towers
from likewise.recipes.multimodal import small_towers, tiny_towers
from likewise.similarity import unit_rows
from likewise.views.multimodal import Modalities


@register(
    Card(
        slug="symile",
        title="Contrasting with Symile: Simple Model-Agnostic Representation Learning for Unlimited Modalities",
        name="Symile",
        paper="arXiv:2411.01053",
        year=2024,
        modality="multimodal",
        task="representations of several modalities that find any of them from all the others",
        contrasts="the modalities of a sample, all together, with mixtures of modalities of different samples, through "
        "the inner product of more than two vectors",
        pick="For three or more modalities, above all where it takes several of them to tell another; for two, CLIP.",
        equation=r"\mathcal{L} = -\frac{1}{MN}\sum_{m,i}\log\frac{e^{s\langle r^m_i, r^{-m}_i\rangle}}"
        r"{e^{s\langle r^m_i, r^{-m}_i\rangle} + \sum_{j\neq i} e^{s\langle r^m_i, r^{-m}_{\pi(j)}\rangle}},\quad "
        r"\langle a,b,\ldots,z\rangle = \sum_d a_d b_d\cdots z_d",
        code="rajesh-lab/symile (MIT)",
        traits=Traits(splits="gather", row_independent=True, memory=("count of steps",)),
        oracle="symile.npz",
        claim=Claim(
            says="Of three digits whose parities follow the exclusive or, Symile tells the parity of each from the two "
            "others, where CLIP over every pair of modalities stays at chance, as no pair knows anything of the third.",
            data="digit-triples",
            metric="retrieval",
            beats="pairwise-clip",
            settings=(("learner.temperature", 0.1),),
            also=(
                (
                    ("data", "xor-triples"),
                    ("learner.encoder.depth", 0),
                    ("learner.temperature", 1.35),
                    ("views.noise", 0.0),
                    ("optimizer.lr", 0.05),
                    ("batch", 500),
                    ("steps", 400),
                ),
            ),
        ),
        deviations=(
            "A sample has every modality; the paper's placeholders for missing ones are left to the data.",
            "Permutations are drawn from the ids of the batch and the number of steps taken, so that they depend on "
            "neither the order of the batch nor the number of devices.",
            "All combinations (n_squared) are summed over in blocks, and for two modalities are CLIP's, where the code "
            "fails.",
        ),
        waivers=(("ids-are-names", "the permutations are a function of the ids"),),
    )
)
class Symile(ModalityLearner):
    r"""Symile (Saporta et al., 2024), Eq. 5: each modality in turn is the anchor, the product of the others its key.

    Args:
        encoder: of every modality.
        negatives: ``n``: the other modalities of other samples, each shuffled by itself; ``n_squared``: all
            combinations of them, which costs :math:`N^M` products for M modalities.
        temperature: 1 / s at the start. The more modalities and the wider they are, the smaller are products of unit
            vectors, and the smaller this should be.
    """

    taken: Tensor

    def __init__(self, encoder: Towers, *, negatives: Negatives = "n", temperature: float = 0.1) -> None:
        super().__init__(encoder, temperature=temperature)
        if negatives not in ("n", "n_squared"):
            raise InputError(f"symile: negatives={negatives!r} is neither 'n' nor 'n_squared'")
        self.negatives = negatives
        self.register_buffer("taken", torch.zeros(1, dtype=torch.int64))

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The mean over anchor modalities and samples."""
        rows = [unit_rows(z[role]) for role in self.roles]
        orders = None if self.negatives == "n_squared" else self._orders(comm.gather(batch.ids))
        scale = self.scale()
        loss = multilinear_nce(rows, scale, permutations=orders, comm=comm).mean()
        return Step(loss, {"scale": scale.detach()})

    def _orders(self, ids: Tensor) -> Tensor:
        """For each anchor modality and each other a permutation of everybody's rows, ``(m, m - 1, k)``."""
        num = len(self.roles)
        chance = Draws(0, int(self.taken), ids).uniform(num, num - 1)
        # the row of the j-th smallest id is paired with that of the j-th smallest draw
        shuffled = chance.argsort(dim=0, stable=True)
        return shuffled[ids.argsort(dim=0, stable=True).argsort()].permute(1, 2, 0)

    def after_update(self, ctx: Context) -> None:
        """The next step draws anew."""
        self.taken += 1

    def query(self, others: Sequence[Tensor]) -> Tensor:
        """The product of the others, all of which it takes.

        Raises:
            InputError: one is not there.
        """
        if len(others) != len(self.roles) - 1:
            raise InputError(f"symile finds a modality from all {len(self.roles) - 1} others, {len(others)} given")
        return product(others)


@recipe(Symile)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_towers(Symile)


@recipe(Symile)
def small() -> Recipe:
    """Minutes on two cores: triples of digits."""
    return small_towers(Symile)


@recipe(Symile)
def paper() -> Recipe:
    """The experiment on bits, with the settings of the code's example (which has eight modalities of one bit)."""
    return small_towers(
        Symile,
        encoder=spec(Towers, dim=16, depth=0),
        temperature=1.35,
        data=spec(xor_triples, num=10_000, num_test=5000, bits=1),
        views=spec(Modalities),
        optimizer=spec(adamw, lr=0.1, weight_decay=0.01),
        batch=1000,
        epochs=50,
    )
