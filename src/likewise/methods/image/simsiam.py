"""SimSiam: two views predict each other through one network; a stopped gradient keeps it from collapsing."""

from torch import nn
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.functional.redundancy import negative_cosine
from likewise.parts.heads import mlp
from likewise.parts.optimizers import sgd
from likewise.parts.schedules import cosine, linear_scale
from likewise.recipes.image import PLAIN, PLAIN_UNFLIPPED, imagenet, small_images, tiny_images
from likewise.views.image import moco_v2_views


@register(
    Card(
        slug="simsiam",
        title="Exploring Simple Siamese Representation Learning",
        name="SimSiam",
        paper="arXiv:2011.10566",
        year=2020,
        modality="image",
        task="representation learning without labels",
        contrasts="the prediction from one view with the other view's projection, held still; no negatives, no teacher",
        pick="The least machinery: no negatives, no teacher, ordinary batches. Watch the log 'spread': near 0 it has "
        "collapsed.",
        equation=r"\mathcal{L} = -\tfrac12\cos(p^1, \mathrm{sg}[z^2]) - \tfrac12\cos(p^2, \mathrm{sg}[z^1])",
        code="facebookresearch/simsiam (CC BY-NC 4.0)",
        traits=Traits(splits="mean"),
        oracle="baselines.npz",
        deviations=(
            "Batch norm sees the rows of one process; the code synchronises it over devices.",
            "The projector's last layer has no bias; the code has one that is never trained.",
            "The learning rate follows the cosine by step; the code sets it once an epoch.",
        ),
    )
)
class SimSiam(Learner):
    r"""SimSiam (Chen & He, 2020): Eq. 2 with the gradient stopped as in Eq. 3.

    .. math:: \mathcal{L} = \tfrac12 D(p^1, \mathrm{sg}[z^2]) + \tfrac12 D(p^2, \mathrm{sg}[z^1]),\quad
        D(p, z) = -\cos(p, z)

    with z the projections, p the predictions made from them, and sg the stopped gradient. The parameter group
    ``predictor`` is for a schedule that holds its learning rate constant (section 4.2), as the recipes do.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        dim: of the projector's layers and of the predictions.
        width: of the predictor's hidden layer, a bottleneck of dim / 4 in the paper.
    """

    def __init__(self, encoder: Encoder, *, dim: int = 2048, width: int = 512) -> None:
        super().__init__()
        self.encoder = encoder
        # the paper's hidden layers are as wide as the encoder's features
        self.head = mlp(encoder.dim, encoder.dim, dim, layers=3, last_norm="plain")
        self.predictor = mlp(dim, width, dim)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """``encoder`` (with the projector) and ``predictor``."""
        predictor = list(self.predictor.parameters())
        held = {id(p) for p in predictor}
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in held]
        return {"encoder": rest, "predictor": predictor}

    def encode(self, batch: Batch) -> Embeddings:
        """Predictions and stopped projections of both views, ``(n, dim)`` each; each view has its own pass."""
        out: Embeddings = {}
        for role in ("a", "b"):
            z = self.head(self.encoder(batch.views[role]))
            out |= {f"prediction_{role}": self.predictor(z), f"target_{role}": z.detach()}
        return out

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The mean of both directions; logs ``spread``, 1 for directions spread evenly and 0 after a collapse."""
        ab = negative_cosine(z["prediction_a"], z["target_b"].detach()).mean()
        ba = negative_cosine(z["prediction_b"], z["target_a"].detach()).mean()
        target = z["target_a"].detach()
        spread = normalize(target, dim=1).std(0, correction=0).mean() * target.shape[1] ** 0.5
        return Step((ab + ba) / 2, logs={"spread": spread})


@recipe(SimSiam)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_images(
        SimSiam,
        dim=32,
        width=16,
        views=PLAIN_UNFLIPPED,
        optimizer=spec(sgd, lr=0.05),
        schedule=spec(cosine, hold=("predictor",)),
    )


@recipe(SimSiam)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing, at the learning rate that the code has for CIFAR."""
    return small_images(
        SimSiam,
        dim=256,
        width=64,
        views=PLAIN,
        optimizer=spec(sgd, lr=linear_scale(0.05, batch=256), weight_decay=5e-4),
        schedule=spec(cosine, hold=("predictor",)),
    )


@recipe(SimSiam)
def paper() -> Recipe:
    """ImageNet as in the paper's section 4: batch 512, 100 epochs."""
    return imagenet(
        SimSiam,
        views=spec(moco_v2_views),
        optimizer=spec(sgd, lr=linear_scale(0.05, batch=512), weight_decay=1e-4, decay_all=True),
        schedule=spec(cosine, hold=("predictor",)),
        batch=512,
        epochs=100,
    )
