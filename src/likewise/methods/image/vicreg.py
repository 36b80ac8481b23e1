"""VICReg: views close, every dimension spread, dimensions uncorrelated."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.functional.redundancy import vicreg
from likewise.parts.heads import mlp
from likewise.parts.schedules import cosine
from likewise.recipes.image import imagenet, small_images, tiny_images
from likewise.views.image import byol_views


@register(
    Card(
        slug="vicreg",
        title="VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
        name="VICReg",
        paper="arXiv:2105.04906",
        year=2022,
        modality="image",
        task="representation learning without labels",
        contrasts="two views of one image by distance; spread and correlation of the dimensions over the batch",
        pick="Where the two branches differ (networks, modalities): each is kept from collapsing by itself.",
        equation=r"\mathcal{L} = \lambda\,\mathrm{MSE}(z^1, z^2) + \tfrac{\mu}{2}\big[v(z^1) + v(z^2)\big]"
        r" + \nu\big[c(z^1) + c(z^2)\big]",
        code="facebookresearch/vicreg (MIT)",
        traits=Traits(splits="statistics"),
        oracle="baselines.npz",
        deviations=(
            "The terms are weighted as in the code: distance per element, half of the two variance terms; the paper's "
            "Eq. 6 has neither factor.",
            "Batch norm inside encoder and head sees the rows of one process; the code synchronises it.",
        ),
    )
)
class VICReg(Learner):
    r"""VICReg (Bardes et al., 2022): see :func:`likewise.functional.redundancy.vicreg`.

    .. math:: \mathcal{L} = \lambda\,\mathrm{MSE}(z^1, z^2) + \tfrac{\mu}{2}[v(z^1) + v(z^2)] + \nu[c(z^1) + c(z^2)]

    with v the hinge on each dimension's standard deviation and c the squared covariances (Eqs. 1 to 6).

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the expander's hidden layers.
        dim: of its output.
        invariance: lambda.
        variance: mu.
        covariance: nu.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        width: int = 8192,
        dim: int = 8192,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = mlp(encoder.dim, width, dim, layers=3, bias=True, last_bias=False)
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}

    def encode(self, batch: Batch) -> Embeddings:
        """Expanded embeddings of both views, ``(n, dim)`` each; each view has its own pass through batch norm."""
        return {role: self.head(self.encoder(batch.views[role])) for role in ("a", "b")}

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The loss of everybody's rows: the same number on every process."""
        return Step(vicreg(comm.gather(z["a"]), comm.gather(z["b"]), **self.weights))


@recipe(VICReg)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_images(VICReg, width=64, dim=64)


@recipe(VICReg)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing, an expander that fits the encoder."""
    return small_images(VICReg, width=512, dim=512)


@recipe(VICReg)
def paper() -> Recipe:
    """ImageNet as in the code: batch 2048, 1000 epochs."""
    return imagenet(
        VICReg,
        views=spec(byol_views),
        rate=0.2,
        schedule=spec(cosine, warmup=10 / 1000, end=0.001),
        batch=2048,
        epochs=1000,
    )
