"""DCL and DCLW: SimCLR with the positive taken out of the denominator.

Two cards stand here, which is why the file is long.
"""

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.parts import losses
from likewise.parts.heads import mlp, together
from likewise.recipes.image import imagenet, small_images, tiny_images


@register(
    Card(
        slug="dcl",
        title="Decoupled Contrastive Learning",
        name="DCL",
        paper="arXiv:2110.06848",
        year=2021,
        modality="image",
        task="representation learning without labels",
        contrasts="two crops of one image, against both crops of the other images only: the positive pair does not "
        "stand in the denominator",
        pick="Small batches: where the batch is what fits, take it instead of simclr. The two agree for large ones.",
        equation=r"\mathcal{L} = \frac{1}{2B}\sum_{k=1}^{2}\sum_{i=1}^{B}\Big[-\frac{s(z_i^1, z_i^2)}{\tau}"
        r" + \log\sum_{l=1}^{2}\sum_{j\neq i} e^{s(z_i^k, z_j^l)/\tau}\Big]",
        code="raminnakhli/Decoupled-Contrastive-Learning (MIT; widely used, perhaps not the authors')",
        traits=Traits(splits="gather"),
        oracle="dcl.npz",
        claim=Claim(
            says="At a small batch, DCL learns better features than SimCLR under the same budget.",
            data="fashion-mnist",
            metric="linear_200",
            beats="simclr",
            seeds=5,
            settings=(
                ("data.limit", 10000),
                ("batch", 8),
                ("epochs", 2),
                ("temperature", 0.1),
                ("optimizer.lr", 0.001),
                ("probe_every", 0),
            ),
            also=(
                (
                    ("data.limit", 10000),
                    ("batch", 256),
                    ("epochs", 2),
                    ("temperature", 0.1),
                    ("optimizer.lr", 0.001),
                    ("probe_every", 0),
                ),
            ),
        ),
        deviations=(
            "The mean over all anchors of both views; the code adds the means of the two views: its loss, and so its "
            "learning rate, is twice ours.",
            "Masked pairs count exactly nothing; the code adds -103.6 to their logits, which fails at a temperature "
            "below about 0.01.",
            "Both views go through batch norm together, as in simclr, so that only the loss differs.",
        ),
    )
)
class DCL(Learner):
    r"""DCL (Yeh et al., 2022): SimCLR's loss without the coupling of positive and negatives.

    .. math:: \ell_i^k = -s(z_i^1, z_i^2)/\tau + \log\sum_{l=1,2}\sum_{j\neq i} e^{s(z_i^k, z_j^l)/\tau}

    with s the cosine, z_i^k the projection of view k of image i, and tau the temperature (Eq. 6). The loss may be
    negative. A batch of one image has no negatives and costs 0.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the head's hidden layer.
        dim: of the projections.
        temperature: tau.
    """

    def __init__(self, encoder: Encoder, *, width: int = 512, dim: int = 128, temperature: float = 0.1) -> None:
        super().__init__()
        self.encoder, self.head = encoder, mlp(encoder.dim, width, dim)
        self.loss = losses.DCL(temperature)

    def encode(self, batch: Batch) -> Embeddings:
        """Projections of both views, ``(n, dim)`` each, from one pass through the batch norms."""
        roles = ("a", "b")
        return dict(zip(roles, together([batch.views[role] for role in roles], self.encoder, self.head)))

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The decoupled loss over everybody's rows."""
        return Step(self.loss(z["a"], z["b"], ids=batch.ids, comm=comm))


@register(
    Card(
        slug="dclw",
        title="Decoupled Contrastive Learning",
        name="DCLW",
        paper="arXiv:2110.06848",
        year=2021,
        modality="image",
        task="representation learning without labels",
        contrasts="as dcl, with more weight on positive pairs that are still apart",
        pick="Small batches with strong views, where many positive pairs stay far apart. Otherwise dcl is simpler.",
        equation=r"\mathcal{L} = \frac{1}{2B}\sum_{k,i}\Big[-w_i\frac{s(z_i^1, z_i^2)}{\tau}"
        r" + \log\sum_{l=1}^{2}\sum_{j\neq i} e^{s(z_i^k, z_j^l)/\tau}\Big],\quad"
        r" w_i = 2 - \frac{e^{s(z_i^1, z_i^2)/\sigma}}{\frac1B\sum_j e^{s(z_j^1, z_j^2)/\sigma}}",
        code="raminnakhli/Decoupled-Contrastive-Learning (MIT; widely used, perhaps not the authors')",
        traits=Traits(splits="gather"),
        oracle="dcl.npz",
        claim=Claim(
            says="At a small batch, DCLW learns better features than SimCLR under the same budget.",
            data="fashion-mnist",
            metric="linear_200",
            beats="simclr",
            seeds=5,
            settings=(
                ("data.limit", 10000),
                ("batch", 8),
                ("epochs", 2),
                ("temperature", 0.1),
                ("optimizer.lr", 0.001),
                ("probe_every", 0),
            ),
        ),
        deviations=(
            "No gradient flows through the weights, which the paper treats as constants; the code lets it flow "
            "(--set detach_weight=false).",
            "The mean over all anchors of both views; the code adds the means of the two views.",
            "Both views go through batch norm together, as in simclr.",
        ),
    )
)
class DCLW(DCL):
    r"""DCL whose positive pairs are weighted by how far apart they still are.

    .. math:: w_i = 2 - e^{s(z_i^1, z_i^2)/\sigma} \Big/ \frac1B\sum_j e^{s(z_j^1, z_j^2)/\sigma}

    The weights have mean 1 over the batch of all processes (the paper's von Mises-Fisher weighting).

    Args:
        encoder: as for :class:`DCL`.
        width: of the head's hidden layer.
        dim: of the projections.
        temperature: tau.
        sigma: of the weights; large ones make them equal.
        detach_weight: treat the weights as constants.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        width: int = 512,
        dim: int = 128,
        temperature: float = 0.1,
        sigma: float = 0.5,
        detach_weight: bool = True,
    ) -> None:
        super().__init__(encoder, width=width, dim=dim, temperature=temperature)
        self.loss = losses.DCL(temperature, sigma=sigma, detach_weight=detach_weight)


@recipe(DCL)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_images(DCL, width=32, dim=16)


@recipe(DCL)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing, as simclr's."""
    return small_images(DCL, width=128, dim=64, temperature=0.2)


@recipe(DCL)
def paper() -> Recipe:
    """ImageNet as in the paper's section 4: SimCLR's recipe at batch 256, 200 epochs."""
    return imagenet(DCL, width=2048, dim=128, temperature=0.1, batch=256, epochs=200)


def _weighted(base: Recipe) -> Recipe:
    base.learner = spec(DCLW, **base.learner.settings)
    return base


@recipe(DCLW)
def dclw_tiny() -> Recipe:
    """DCL's, with weights."""
    return _weighted(tiny())


@recipe(DCLW)
def dclw_small() -> Recipe:
    """DCL's, with weights."""
    return _weighted(small())


@recipe(DCLW)
def dclw_paper() -> Recipe:
    """DCL's, with weights."""
    return _weighted(paper())
