"""MoCo v3: predicted queries find the momentum keys of the other view within a large batch."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Context, Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.parts.heads import mlp
from likewise.parts.losses import InfoNCE
from likewise.parts.momentum import Momentum
from likewise.parts.optimizers import lars
from likewise.parts.schedules import linear_scale
from likewise.recipes.image import imagenet, small_images, tiny_images
from likewise.views.image import byol_views


@register(
    Card(
        slug="moco-v3",
        title="An Empirical Study of Training Self-Supervised Vision Transformers",
        name="MoCo v3",
        paper="arXiv:2104.02057",
        year=2021,
        modality="image",
        task="representation learning without labels",
        contrasts="the prediction from one crop with the momentum key of the other, against the batch's other keys",
        pick="Transformers (--set learner.encoder=vit), and as a strong all-round method at batches of 256 and more.",
        equation=r"\mathcal{L} = \mathrm{ctr}(q^1, k^2) + \mathrm{ctr}(q^2, k^1),\quad"
        r" \mathrm{ctr}(q, k) = -\frac{2\tau}{B}\sum_i\log\frac{e^{q_i\cdot k_i/\tau}}{\sum_j e^{q_i\cdot k_j/\tau}}",
        code="facebookresearch/moco-v3 (CC BY-NC 4.0)",
        traits=Traits(splits="gather", memory=("momentum encoder",)),
        oracle="baselines.npz",
        deviations=(
            "The momentum encoder moves at the end of a step, the code's at the beginning of the next: the same keys.",
            "Batch norm sees the rows of one process; the code synchronises it over devices.",
            "The vision transformer averages its patch tokens; the code reads a class token.",
        ),
    )
)
class MoCoV3(Learner):
    r"""MoCo v3 (Chen, Xie & He, 2021): no queue, a predictor, both directions.

    .. math:: \mathrm{ctr}(q, k) = -\frac{2\tau}{B}\sum_i\log\frac{e^{q_i\cdot k_i/\tau}}{\sum_j e^{q_i\cdot k_j/\tau}}

    with q the unit predictions of one view, k the unit projections of the other by the momentum encoder, and tau the
    temperature (Eq. 1). The momentum grows along half a cosine from ``momentum`` to 1.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the hidden layers of projector and predictor.
        dim: of the projections.
        layers: of the projector: 2 for a ResNet, 3 for a transformer.
        predictor_norm: batch norm after the predictor's last layer, as for a transformer.
        momentum: of the key encoder at the start; 0.996 for 300 epochs and more.
        temperature: tau; 1 for a ResNet, 0.2 for a transformer.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        width: int = 4096,
        dim: int = 256,
        layers: int = 2,
        predictor_norm: bool = False,
        momentum: float = 0.99,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = mlp(encoder.dim, width, dim, layers=layers, last_norm="plain")
        self.predictor = mlp(dim, width, dim, last_norm="plain" if predictor_norm else "none", last_bias=False)
        self.teacher = Momentum(self.encoder, self.head, momentum=momentum, final=1.0)
        self.loss = InfoNCE(temperature, scale_by_temperature=True)

    def encode(self, batch: Batch) -> Embeddings:
        """Queries and keys of both views, ``(n, dim)`` each; every view has its own pass, keys have no gradient."""
        a, b = batch.views["a"], batch.views["b"]
        return {
            "query_a": self.predictor(self.head(self.encoder(a))),
            "query_b": self.predictor(self.head(self.encoder(b))),
            "key_a": self.teacher(a),
            "key_b": self.teacher(b),
        }

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The sum of both directions, each query against everybody's keys."""
        ab = self.loss(z["query_a"], z["key_b"].detach(), ids=batch.ids, comm=comm)
        ba = self.loss(z["query_b"], z["key_a"].detach(), ids=batch.ids, comm=comm)
        return Step(ab + ba)

    def after_update(self, ctx: Context) -> None:
        """Move the momentum encoder, with the momentum of the step to come."""
        self.teacher.update(self.encoder, self.head, progress=ctx.progress)


@recipe(MoCoV3)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_images(MoCoV3, width=64, dim=16, momentum=0.9, temperature=0.2)


@recipe(MoCoV3)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing."""
    return small_images(MoCoV3, width=512, dim=64, temperature=0.2)


@recipe(MoCoV3)
def paper() -> Recipe:
    """ImageNet with ResNet-50 as in the code: batch 4096, 1000 epochs."""
    return imagenet(
        MoCoV3,
        momentum=0.996,
        views=spec(byol_views),
        optimizer=spec(lars, lr=linear_scale(0.3, batch=4096), weight_decay=1.5e-6),
        batch=4096,
        epochs=1000,
    )
