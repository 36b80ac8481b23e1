"""Barlow Twins: the dimensions of two views correlate with themselves and with nothing else."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.functional.redundancy import barlow_twins
from likewise.parts.heads import mlp
from likewise.parts.optimizers import lars
from likewise.parts.schedules import cosine, linear_scale
from likewise.recipes.image import imagenet, small_images, tiny_images
from likewise.views.image import byol_views


@register(
    Card(
        slug="barlow-twins",
        title="Barlow Twins: Self-Supervised Learning via Redundancy Reduction",
        name="Barlow Twins",
        paper="arXiv:2103.03230",
        year=2021,
        modality="image",
        task="representation learning without labels",
        contrasts="the dimensions of one view's embeddings with those of the other's, over the batch",
        pick="Embeddings whose dimensions say different things. It likes very wide heads and moderate batches.",
        equation=r"\mathcal{L} = \sum_i (1 - C_{ii})^2 + \lambda\sum_i\sum_{j\neq i} C_{ij}^2,\quad"
        r" C_{ij} = \frac1B\sum_b \hat z^1_{b,i}\,\hat z^2_{b,j}",
        code="facebookresearch/barlowtwins (MIT)",
        traits=Traits(splits="statistics"),
        oracle="baselines.npz",
        deviations=(
            "The correlation is that of the rows of all processes, standardised together; the code standardises them "
            "with a synchronised batch norm, which is the same.",
            "Batch norm inside encoder and head sees the rows of one process; the code synchronises it.",
        ),
    )
)
class BarlowTwins(Learner):
    r"""Barlow Twins (Zbontar et al., 2021): see :func:`likewise.functional.redundancy.barlow_twins`.

    .. math:: \mathcal{L} = \sum_i (1 - C_{ii})^2 + \lambda\sum_i\sum_{j\neq i} C_{ij}^2

    with C the correlation of the two views' dimensions over the batch, and lambda the ``redundancy`` (Eqs. 1, 2).

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the projector's hidden layers.
        dim: of the projections.
        redundancy: weight of the off-diagonal terms.
    """

    def __init__(self, encoder: Encoder, *, width: int = 8192, dim: int = 8192, redundancy: float = 0.0051) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = mlp(encoder.dim, width, dim, layers=3, last_bias=False)
        self.redundancy = redundancy

    def encode(self, batch: Batch) -> Embeddings:
        """Projections of both views, ``(n, dim)`` each; each view has its own pass through batch norm."""
        return {role: self.head(self.encoder(batch.views[role])) for role in ("a", "b")}

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The loss of everybody's rows: the same number on every process."""
        return Step(barlow_twins(comm.gather(z["a"]), comm.gather(z["b"]), redundancy=self.redundancy))


@recipe(BarlowTwins)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_images(BarlowTwins, width=64, dim=64)


@recipe(BarlowTwins)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing, a head that fits the encoder."""
    return small_images(BarlowTwins, width=512, dim=512)


@recipe(BarlowTwins)
def paper() -> Recipe:
    """ImageNet as in the code: batch 2048, 1000 epochs, biases and norms at a lower rate."""
    return imagenet(
        BarlowTwins,
        views=spec(byol_views),
        optimizer=spec(lars, lr=linear_scale(0.2, batch=2048), weight_decay=1e-6, bias_scale=0.0048 / 0.2),
        schedule=spec(cosine, warmup=10 / 1000, end=0.001),
        batch=2048,
        epochs=1000,
    )
