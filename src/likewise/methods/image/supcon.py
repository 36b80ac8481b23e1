"""SupCon: images of one class agree, against the images of the other classes."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.data.sources import image_folder
from likewise.parts import losses
from likewise.parts.encoders import resnet50
from likewise.parts.heads import mlp, together
from likewise.parts.optimizers import sgd
from likewise.parts.schedules import cosine
from likewise.recipes.image import PLAIN, PLAIN_UNFLIPPED, small_images, tiny_images
from likewise.views.image import moco_v2_views


@register(
    Card(
        slug="supcon",
        title="Supervised Contrastive Learning",
        name="SupCon",
        paper="arXiv:2004.11362",
        year=2020,
        modality="image",
        task="representation learning with labels",
        contrasts="all crops of images with one label, against the crops of images with other labels",
        pick="You have labels: class folders, or a column. Usually a better start for a classifier than cross entropy.",
        equation=r"\mathcal{L} = \frac{1}{2B}\sum_i -\frac{\tau}{\tau_0}\frac{1}{|P_i|}\sum_{j\in P_i}"
        r"\Big[\frac{s_{ij}}{\tau} - \log\sum_{k\neq i} e^{s_{ik}/\tau}\Big]",
        code="HobbitLong/SupContrast (BSD-2-Clause)",
        traits=Traits(splits="gather", needs=("labels",)),
        oracle="baselines.npz",
        deviations=("Batch norm sees the rows of one process; the code has an option to synchronise it.",),
    )
)
class SupCon(Learner):
    r"""SupCon (Khosla et al., 2020): the mean over positives outside of the logarithm (L_out, Eq. 2).

    .. math:: \ell_i = -\frac{\tau}{\tau_0}\frac{1}{|P_i|}\sum_{j\in P_i}
        \Big[s_{ij}/\tau - \log\sum_{k\neq i} e^{s_{ik}/\tau}\Big]

    with s the cosine of two of the 2B projections, P_i the other rows with i's label, tau the temperature and tau_0
    the base temperature. A batch of one sample costs 0.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        temperature: tau.
        base_temperature: tau_0, a factor on the loss only.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        width: int | None = None,
        dim: int = 128,
        temperature: float = 0.1,
        base_temperature: float = 0.07,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = mlp(encoder.dim, width or encoder.dim, dim, norm="none")
        self.loss = losses.SupCon(temperature, base_temperature=base_temperature)

    def encode(self, batch: Batch) -> Embeddings:
        """Projections of both views, ``(n, dim)`` each, from one pass through the batch norms (as the code has it)."""
        roles = ("a", "b")
        return dict(zip(roles, together([batch.views[role] for role in roles], self.encoder, self.head)))

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The loss over everybody's rows.

        Raises:
            InputError: the batch has no labels.
        """
        if batch.labels is None:
            raise InputError("supcon learns from labels, and this data has none: use class folders, or simclr")
        return Step(self.loss([z["a"], z["b"]], batch.labels, ids=batch.ids, comm=comm))


@recipe(SupCon)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_images(SupCon, dim=16, views=PLAIN_UNFLIPPED)


@recipe(SupCon)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing."""
    return small_images(SupCon, dim=64, views=PLAIN)


@recipe(SupCon)
def paper() -> Recipe:
    """CIFAR-10 as in the code: batch 1024, 1000 epochs."""
    return Recipe(
        spec(SupCon, encoder=spec(resnet50, stem="cifar")),
        data=spec(image_folder, path="cifar10", image_size=32),
        views=spec(moco_v2_views, blur_prob=0.0),
        optimizer=spec(sgd, lr=0.5, weight_decay=1e-4, decay_all=True),
        schedule=spec(cosine, warmup=10 / 1000, end=0.001),
        batch=1024,
        epochs=1000,
    )
