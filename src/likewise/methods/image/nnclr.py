"""NNCLR: the positive is the nearest neighbour of a view among past embeddings."""

from torch import Tensor
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Context, Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe
from likewise.core.registry import recipe, register
from likewise.functional.metrics import nearest
from likewise.parts.heads import mlp
from likewise.parts.losses import InfoNCE
from likewise.parts.memory import Queue
from likewise.recipes.image import imagenet, small_images, tiny_images


@register(
    Card(
        slug="nnclr",
        title="With a Little Help from My Friends: Nearest-Neighbor Contrastive Learning of Visual Representations",
        name="NNCLR",
        paper="arXiv:2104.14548",
        year=2021,
        modality="image",
        task="representation learning without labels",
        contrasts="the nearest neighbour of one crop, from a queue, with the prediction from the other crop, against "
        "the batch's other predictions",
        pick="Data whose classes vary more than crops and colours can imitate; it leans less on augmentation.",
        equation=r"\mathcal{L} = \tfrac12\big[\ell(z^1, p^2) + \ell(z^2, p^1)\big],\quad \ell(z, p) ="
        r" -\frac1B\sum_i\log\frac{e^{\mathrm{NN}(z_i, Q)\cdot p_i/\tau}}"
        r"{\sum_j e^{\mathrm{NN}(z_i, Q)\cdot p_j/\tau}}",
        code="none by the authors; read in vturrisi/solo-learn and lightly-ai/lightly (both MIT)",
        traits=Traits(splits="gather", memory=("queue",)),
        oracle="baselines.npz",
        deviations=(
            "The softmax runs over the batch's predictions, as solo-learn's; lightly's over all 2B - 1 others.",
            "The queue takes the projections of view a only.",
            "Batch norm sees the rows of one process; the paper's is synchronised.",
        ),
    )
)
class NNCLR(Learner):
    r"""NNCLR (Dwibedi et al., 2021): each view's neighbour and the prediction from the other view.

    .. math:: \ell_i = -\log\frac{e^{\mathrm{NN}(z_i, Q)\cdot p_i/\tau}}{\sum_j e^{\mathrm{NN}(z_i, Q)\cdot p_j/\tau}}

    with z the unit projections of one view, NN(z, Q) the row of the queue Q that is nearest to z (no gradient), p
    the unit predictions from the other view, and tau the temperature. The queue takes view a's projections after
    they were used.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the projector's hidden layers.
        dim: of projections and predictions.
        predictor_width: of the predictor's hidden layer.
        queue_size: embeddings in the support set Q.
        temperature: tau.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        width: int = 2048,
        dim: int = 256,
        predictor_width: int = 4096,
        queue_size: int = 98304,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = mlp(encoder.dim, width, dim, layers=3, last_norm="batch")
        self.predictor = mlp(dim, predictor_width, dim)
        self.queue = Queue(queue_size, dim)
        self.loss = InfoNCE(temperature)

    def encode(self, batch: Batch) -> Embeddings:
        """Projections (stopped: they only look for neighbours) and predictions of both views, ``(n, dim)`` each."""
        out: Embeddings = {}
        for role in ("a", "b"):
            z = self.head(self.encoder(batch.views[role]))
            out |= {f"projection_{role}": z.detach(), f"prediction_{role}": self.predictor(z)}
        return out

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The mean of both directions; each neighbour against everybody's predictions."""
        ab = self.loss(self._neighbour(z["projection_a"]), z["prediction_b"], ids=batch.ids, comm=comm)
        ba = self.loss(self._neighbour(z["projection_b"]), z["prediction_a"], ids=batch.ids, comm=comm)
        return Step((ab + ba) / 2, carry={"projection": normalize(z["projection_a"].detach(), dim=1)})

    def _neighbour(self, z: Tensor) -> Tensor:
        """The nearest row of the queue for each of ``z (n, dim)``."""
        support = self.queue.read().to(z.dtype)
        return support[nearest(z.detach(), support, 1)[1][:, 0]]

    def after_update(self, ctx: Context) -> None:
        """Enqueue everybody's projections of view a."""
        self.queue.write(ctx.comm.gather(ctx.carry["projection"]))


@recipe(NNCLR)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_images(NNCLR, width=64, dim=16, predictor_width=32, queue_size=100)


@recipe(NNCLR)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing."""
    return small_images(NNCLR, width=256, dim=64, predictor_width=256, queue_size=2048)


@recipe(NNCLR)
def paper() -> Recipe:
    """ImageNet as in the paper: batch 4096, 1000 epochs."""
    return imagenet(NNCLR, batch=4096, epochs=1000)
