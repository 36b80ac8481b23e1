"""SimCLR: two crops of an image agree, against the crops of every other image in the batch."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe
from likewise.core.registry import recipe, register
from likewise.parts.heads import mlp, together
from likewise.parts.losses import NTXent
from likewise.recipes.image import imagenet, small_images, tiny_images


@register(
    Card(
        slug="simclr",
        title="A Simple Framework for Contrastive Learning of Visual Representations",
        name="SimCLR",
        paper="arXiv:2002.05709",
        year=2020,
        modality="image",
        task="representation learning without labels",
        contrasts="two crops of one image against both crops of every other image in the batch",
        pick="The baseline that the others are measured against: simple and stable. It wants large batches; "
        "with a small one take dcl.",
        equation=r"\mathcal{L} = \frac{1}{2B}\sum_{i=1}^{2B}\Big[-\frac{s_{i,p(i)}}{\tau}"
        r" + \log\sum_{k\neq i} e^{s_{ik}/\tau}\Big],\quad s_{ij} = \frac{\langle z_i, z_j\rangle}{|z_i||z_j|}",
        code="google-research/simclr (Apache-2.0)",
        traits=Traits(splits="gather"),
        oracle="baselines.npz",
        deviations=(
            "The head ends in a linear layer with bias and without batch norm; the code ends in one without bias and "
            "a batch norm that scales but does not shift.",
            "Batch norm sees the rows of one process; the code synchronises it over devices.",
            "Two samples with one id are never each other's negatives.",
        ),
    )
)
class SimCLR(Learner):
    r"""SimCLR (Chen et al., 2020): encoder, two-layer head, NT-Xent over both views.

    .. math:: \mathcal{L} = \frac{1}{2B}\sum_i \big[-s_{i,p(i)}/\tau + \log\sum_{k\neq i} e^{s_{ik}/\tau}\big]

    with s the cosine of two of the 2B projections, p(i) the other view of i's image, and tau the temperature
    (Eq. 1). A batch of one image has no negatives and costs 0.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        temperature: tau; the paper has 0.1 for ImageNet and 0.5 for CIFAR-10.
    """

    def __init__(self, encoder: Encoder, *, width: int | None = None, dim: int = 128, temperature: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = mlp(encoder.dim, width or encoder.dim, dim)
        self.loss = NTXent(temperature)

    def encode(self, batch: Batch) -> Embeddings:
        """Projections of both views, ``(n, dim)`` each, from one pass through the batch norms (as the code has it)."""
        roles = ("a", "b")
        return dict(zip(roles, together([batch.views[role] for role in roles], self.encoder, self.head)))

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """NT-Xent over everybody's rows."""
        return Step(self.loss(z["a"], z["b"], ids=batch.ids, comm=comm))


@recipe(SimCLR)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_images(SimCLR, dim=16)


@recipe(SimCLR)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing."""
    return small_images(SimCLR, dim=64, temperature=0.2)


@recipe(SimCLR)
def paper() -> Recipe:
    """ImageNet as in the paper's table 1: batch 4096, 1000 epochs."""
    return imagenet(SimCLR, dim=128, temperature=0.1, batch=4096, epochs=1000)
