"""BYOL: a network predicts what a slow copy of itself makes of another view. No negatives."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Context, Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.functional.redundancy import negative_cosine
from likewise.parts.heads import mlp
from likewise.parts.momentum import Momentum
from likewise.parts.optimizers import lars
from likewise.parts.schedules import linear_scale
from likewise.recipes.image import imagenet, small_images, tiny_images
from likewise.views.image import byol_views


@register(
    Card(
        slug="byol",
        title="Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning",
        name="BYOL",
        paper="arXiv:2006.07733",
        year=2020,
        modality="image",
        task="representation learning without labels",
        contrasts="the prediction from one view with the momentum target of the other; no negatives",
        pick="Batches too small for negatives, or data with many near-duplicates, which negatives would push apart.",
        equation=r"\mathcal{L} = \frac1B\sum_i \big[2 - 2\cos(p_i^1, y_i^2)\big] + \big[2 - 2\cos(p_i^2, y_i^1)\big],"
        r"\quad \xi \leftarrow m_t\xi + (1 - m_t)\theta",
        code="google-deepmind/deepmind-research, byol (Apache-2.0)",
        traits=Traits(splits="mean", memory=("momentum encoder",)),
        oracle="baselines.npz",
        deviations=("Batch norm sees the rows of one process; the code synchronises it over devices.",),
    )
)
class BYOL(Learner):
    r"""BYOL (Grill et al., 2020): online encoder, projector and predictor against a momentum target.

    .. math:: \ell(p, y) = 2 - 2\frac{\langle p, y\rangle}{\lVert p\rVert\lVert y\rVert},\qquad
        \mathcal{L} = \ell(p^1, y^2) + \ell(p^2, y^1)

    with p the predictions and y the target's projections, which take no gradient (Eq. 2). After the optimiser's
    step t of T the target follows with :math:`m_t = 1 - (1 - m_0)(\cos(\pi t / T) + 1)/2`.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the hidden layers of projector and predictor.
        dim: of projections and predictions.
        momentum: m_0.
    """

    def __init__(self, encoder: Encoder, *, width: int = 4096, dim: int = 256, momentum: float = 0.996) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = mlp(encoder.dim, width, dim, bias=True, last_bias=False)
        self.predictor = mlp(dim, width, dim, bias=True, last_bias=False)
        self.teacher = Momentum(self.encoder, self.head, momentum=momentum, final=1.0)

    def encode(self, batch: Batch) -> Embeddings:
        """Predictions and targets of both views, ``(n, dim)`` each; every view has its own pass through batch norm."""
        a, b = batch.views["a"], batch.views["b"]
        return {
            "prediction_a": self.predictor(self.head(self.encoder(a))),
            "prediction_b": self.predictor(self.head(self.encoder(b))),
            "target_a": self.teacher(a),
            "target_b": self.teacher(b),
        }

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """Each view's prediction against the target of the other; at most 8, at chance 4."""
        ab = negative_cosine(z["prediction_a"], z["target_b"].detach())
        ba = negative_cosine(z["prediction_b"], z["target_a"].detach())
        return Step((4 + 2 * ab + 2 * ba).mean())

    def after_update(self, ctx: Context) -> None:
        """Move the target, with the momentum of the step that has just been taken."""
        self.teacher.update(self.encoder, self.head, progress=(ctx.step - 1) / ctx.steps)


@recipe(BYOL)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_images(BYOL, width=64, dim=16)


@recipe(BYOL)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing, a faster target for a short run."""
    return small_images(BYOL, width=512, dim=64, momentum=0.99)


@recipe(BYOL)
def paper() -> Recipe:
    """ImageNet as in the paper: batch 4096, 1000 epochs."""
    return imagenet(
        BYOL,
        views=spec(byol_views),
        optimizer=spec(lars, lr=linear_scale(0.2, batch=4096), weight_decay=1.5e-6),
        batch=4096,
        epochs=1000,
    )
