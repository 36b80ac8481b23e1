"""CACR: distant positives are drawn harder, close negatives pushed harder, each by a softmax of their own.

Two cards stand here, the method and itself with even weights, which is why the file is long.
"""

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, Spec, spec
from likewise.core.registry import recipe, register
from likewise.data.sources import image_folder
from likewise.functional import attraction, repulsion
from likewise.parts.encoders import resnet18
from likewise.parts.heads import mlp, together
from likewise.parts.optimizers import sgd
from likewise.parts.schedules import linear_scale, step
from likewise.recipes.image import imagenet, small_images, tiny_images
from likewise.similarity import unit_rows
from likewise.views.image import multi_crop


@register(
    Card(
        slug="cacr",
        title="Contrastive Attraction and Contrastive Repulsion for Representation Learning",
        name="CACR",
        paper="arXiv:2105.03746",
        year=2021,
        modality="image",
        task="representation learning without labels",
        contrasts="a crop with the other crops of its image, the distant ones weighted more, and with the crops of "
        "other images, the close ones weighted more",
        pick="Several crops per image, and classes of unequal size, where one softmax over all pairs lets the large "
        "classes decide.",
        equation=r"\mathcal{L} = \alpha\sum_v w^+_{iv}\, c(u_i, u_{iv}) - \beta\sum_{j\neq i} w^-_{ij}\, c(u_i, u_j),"
        r"\quad w^+ \propto e^{t^+ c},\quad w^- \propto e^{-t^- c},\quad c(a, b) = |a - b|^2",
        code="JegZheng/CACR-SSL (CC BY-NC 4.0 for its ImageNet part)",
        traits=Traits(splits="gather"),
        oracle="cacr.npz",
        status="adapted",
        claim=Claim(
            says="Weighting distant positives and close negatives gives features that are linearly at least as "
            "accurate as weighting all alike.",
            data="fashion-mnist",
            metric="linear",
            beats="cacr-even",
            settings=(("data.limit", 4000), ("data.test_limit", 2000), ("epochs", 8)),
        ),
        deviations=(
            "The loss within the batch, as in the paper's experiments on small images. The form with momentum keys of "
            "its ImageNet experiments is likewise.functional.key_attraction_repulsion, without a learner of its own.",
            "The paper's small images are encoded by an AlexNet-like network whose last layer is contrasted; here an "
            "encoder and a head of one hidden layer.",
            "With tau_plus the distance of the positive is added, as the derivation has it; the code subtracts it.",
            "Two samples with one id are never each other's negatives.",
        ),
    )
)
class CACR(Learner):
    r"""CACR (Zheng et al., 2021) within a batch, of as many views as the recipe's ``views`` give, 2 or more.

    .. math:: \mathcal{L} = \alpha\,\mathcal{L}_{CA} + \beta\,\mathcal{L}_{CR}

    with :func:`likewise.functional.attraction` and :func:`likewise.functional.repulsion` of unit rows, the mean over
    samples. The two sharpnesses multiply squared distances; they are no temperatures to divide by.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        positive_sharpness: t+; 0 weights all positives alike.
        negative_sharpness: t-; the paper has 0.9 for CIFAR-10 and 2 for others; 0 weights all negatives alike.
        attract: alpha.
        repel: beta.
        tau_plus: the share of negatives that are of the sample's class, to correct for; 0: none.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        width: int | None = None,
        dim: int = 128,
        positive_sharpness: float = 1.0,
        negative_sharpness: float = 2.0,
        attract: float = 1.0,
        repel: float = 1.0,
        tau_plus: float = 0.0,
    ) -> None:
        super().__init__()
        if positive_sharpness < 0 or negative_sharpness < 0 or not 0 <= tau_plus < 1:
            raise InputError(
                f"cacr: positive_sharpness={positive_sharpness} and negative_sharpness={negative_sharpness} must be "
                f"0 or more, tau_plus={tau_plus} from 0 to below 1"
            )
        self.encoder = encoder
        self.head = mlp(encoder.dim, width or encoder.dim, dim)
        self.sharpness, self.weights, self.tau_plus = (
            (positive_sharpness, negative_sharpness),
            (attract, repel),
            tau_plus,
        )

    def encode(self, batch: Batch) -> Embeddings:
        """Projections of every view that the batch has, ``(n, dim)`` each, from one pass through the batch norms."""
        return dict(zip(batch.views, together(list(batch.views.values()), self.encoder, self.head)))

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """Attraction and repulsion, the mean over samples; logs both before their weights."""
        views = [unit_rows(rows) for rows in z.values()]
        pull = attraction(views, sharpness=self.sharpness[0]).mean()
        push = repulsion(views, sharpness=self.sharpness[1], tau_plus=self.tau_plus, ids=batch.ids, comm=comm).mean()
        logs = {"attraction": pull.detach(), "repulsion": push.detach()}
        return Step(self.weights[0] * pull + self.weights[1] * push, logs)


@register(
    Card(
        slug="cacr-even",
        title="Attraction and repulsion with even weights",
        name="CACR, even weights",
        paper="arXiv:2105.03746",
        year=2021,
        modality="image",
        task="representation learning without labels",
        contrasts="a crop with the other crops of its image and with those of other images, all alike",
        pick="The ablation that CACR is measured against.",
        equation=r"\mathcal{L} = \operatorname{mean}_v\, c(u_i, u_{iv}) - \operatorname{mean}_{j\neq i}\, c(u_i, u_j)",
        traits=Traits(splits="gather"),
        oracle="cacr.npz",
        deviations=("As for cacr.",),
    )
)
class CACREven(CACR):
    """CACR with both sharpnesses 0: the distances themselves, not weighted.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        attract: alpha.
        repel: beta.
    """

    def __init__(
        self, encoder: Encoder, *, width: int | None = None, dim: int = 128, attract: float = 1.0, repel: float = 1.0
    ) -> None:
        super().__init__(
            encoder, width=width, dim=dim, positive_sharpness=0.0, negative_sharpness=0.0, attract=attract, repel=repel
        )


def _crops(**changes: object) -> Spec:
    """A query and four positives, in the paper's colours for small images."""
    settings: dict[str, object] = {"num_global": 5, "num_local": 0, "global_scale": (0.2, 1.0), "blur_prob": 0.0}
    return spec(multi_crop, **{**settings, "jitter": (0.4, 0.4, 0.4, 0.4), "jitter_prob": 1.0, **changes})


def _tiny(method: type) -> Recipe:
    return tiny_images(method, dim=16, views=_crops(num_global=3, flip=False))


def _small(method: type) -> Recipe:
    return small_images(method, dim=64, views=_crops(jitter=(0.4, 0.4, 0.4, 0.1)))


def _paper(method: type) -> Recipe:
    return imagenet(
        method,
        encoder=spec(resnet18),
        data=spec(image_folder, path="cifar10", image_size=32),
        views=_crops(),
        optimizer=spec(sgd, lr=linear_scale(0.12, batch=128), weight_decay=1e-4, decay_all=True),
        schedule=spec(step, at=(0.775, 0.85, 0.925)),
        batch=128,
        epochs=200,
    )


@recipe(CACR)
def tiny() -> Recipe:
    """For tests: milliseconds a step, three views."""
    return _tiny(CACR)


@recipe(CACR)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing, a query and four positives of each."""
    return _small(CACR)


@recipe(CACR)
def paper() -> Recipe:
    """CIFAR-10 as in the paper: batch 128, 200 epochs, four positives."""
    recipe = _paper(CACR)
    recipe.set("learner.negative_sharpness", 0.9)
    return recipe


@recipe(CACREven)
def even_tiny() -> Recipe:
    """The one of cacr."""
    return _tiny(CACREven)


@recipe(CACREven)
def even_small() -> Recipe:
    """The one of cacr."""
    return _small(CACREven)


@recipe(CACREven)
def even_paper() -> Recipe:
    """The one of cacr."""
    return _paper(CACREven)
