"""DirectPred: BYOL or SimSiam whose predictor is computed from the projections' moments, not trained.

Two cards stand here, the method and its baseline with a trained linear predictor, which is why the file is long.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Context, Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.data.sources import image_folder
from likewise.functional import direct_pred, direct_set, eigenspace_alignment, negative_cosine
from likewise.parts.encoders import resnet18
from likewise.parts.heads import mlp
from likewise.parts.momentum import Momentum
from likewise.parts.optimizers import sgd
from likewise.parts.predictors import LinearPredictor
from likewise.parts.schedules import constant, cosine
from likewise.recipes.image import PLAIN, PLAIN_UNFLIPPED, imagenet, small_images, tiny_images
from likewise.views.image import simclr_views

How = Literal["directpred", "directcopy", "directset", "identity", "trained"]


def _identity(moment: Tensor) -> Tensor:
    return torch.eye(len(moment), dtype=moment.dtype, device=moment.device)


def _rule(predictor: How, eps: float, alpha: float) -> Callable[[Tensor], Tensor] | None:
    rules: dict[str, Callable[[Tensor], Tensor] | None] = {
        "directpred": partial(direct_pred, eps=eps),
        "directcopy": partial(direct_set, eps=eps),
        "directset": partial(direct_set, eps=eps, alpha=alpha),
        "identity": _identity,
        "trained": None,
    }
    return rules[predictor]


@register(
    Card(
        slug="directpred",
        title="Understanding Self-Supervised Learning Dynamics without Contrastive Pairs",
        name="DirectPred",
        paper="arXiv:2102.06810",
        year=2021,
        modality="image",
        task="representation learning without labels",
        contrasts="a linear prediction from one view with the target of the other; no negatives, and a predictor that "
        "is read off the projections' second moment",
        pick="BYOL or SimSiam with one thing less to tune. DirectCopy needs no eigenvectors, for wide projections.",
        equation=r"\mathcal{L} = \frac1B\sum_i \big[4 - 2\cos(W f_i^1, y_i^2) - 2\cos(W f_i^2, y_i^1)\big],"
        r"\quad W = U\,\mathrm{diag}(p)\,U^T,\quad p_j = \sqrt{s_j / \max_k s_k} + \epsilon",
        code="facebookresearch/luckmatters, ssl (CC BY-NC 4.0)",
        traits=Traits(splits="mean", memory=("momentum encoder", "second moment of projections")),
        oracle="directpred.npz",
        claim=Claim(
            says="With the predictor set from the projections' moments, features are at least as accurate from few "
            "labels as with a linear predictor trained by gradient descent, and no more collapsed.",
            data="fashion-mnist",
            metric="linear_200",
            beats="byol-linear",
            settings=(("data.limit", 4000), ("data.test_limit", 2000), ("epochs", 8)),
            further=(("std", "byol-linear", 1.0),),
        ),
        deviations=(
            "directpred: the code's eigenvalues, which do not depend on the scale of the moment as the paper's do.",
            "directcopy, directset: the moment is divided by its spectral norm, as in the later paper "
            "(arXiv:2110.04947); the first paper's code leaves that out.",
            "The first step predicts with the identity; the code with a random matrix.",
            "The projector's hidden batch norm scales and shifts.",
            "The loss is 4 more than the code's, so that it is 0 where predictions meet their targets.",
            "With base='simsiam' the loss has BYOL's scale, four times SimSiam's.",
        ),
    )
)
class DirectPred(Learner):
    r"""DirectPred (Tian et al., 2021), DirectSet and DirectCopy (Wang et al., 2021) on BYOL or SimSiam.

    After every step the moment F of the projections f moves on, and the predictor W is set from it:
    :func:`likewise.functional.direct_pred` or :func:`likewise.functional.direct_set`. Gradient flows through W into f.
    The target y is a momentum copy's projection (``byol``) or the network's own, held still (``simsiam``).

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        base: where targets come from.
        predictor: how W is made; ``identity`` leaves it out (features then collapse), ``trained`` is an ordinary
            linear layer.
        eps: added to the predictor's eigenvalues; the papers have 0.01 to 0.1 for directpred, 0.3 for directcopy.
        alpha: directset's power; 1 is directcopy, 1/2 close to directpred.
        decay: rho, of the moment.
        centre: take the mean off the projections before the rule sees their moment.
        every: steps between two settings of W.
        width: of the projector's hidden layer.
        dim: of projections and predictions.
        momentum: of the target, with ``base="byol"``.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        base: Literal["byol", "simsiam"] = "byol",
        predictor: How = "directpred",
        eps: float = 0.1,
        alpha: float = 0.5,
        decay: float = 0.3,
        centre: bool = False,
        every: int = 1,
        width: int = 512,
        dim: int = 128,
        momentum: float = 0.996,
    ) -> None:
        super().__init__()
        if not alpha > 0:
            raise InputError(f"directpred: alpha is {alpha}, but a power of the moment must be > 0")
        self.encoder = encoder
        self.head = mlp(encoder.dim, width, dim, bias=True)
        self.predictor = LinearPredictor(dim, _rule(predictor, eps, alpha), decay=decay, centre=centre, every=every)
        self.teacher = Momentum(self.encoder, self.head, momentum=momentum) if base == "byol" else None

    def encode(self, batch: Batch) -> Embeddings:
        """Projections, predictions and targets of both views, ``(n, dim)`` each; each view has its own pass."""
        out: Embeddings = {}
        for role in ("a", "b"):
            view = batch.views[role]
            z = self.head(self.encoder(view))
            target = z.detach() if self.teacher is None else self.teacher(view)
            out |= {f"projection_{role}": z.detach(), f"prediction_{role}": self.predictor(z), f"target_{role}": target}
        return out

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """Each view's prediction against the target of the other; at most 8.

        Logs ``spread``, 1 for targets spread evenly and 0 after a collapse, and for a trained predictor
        ``alignment``, how far it keeps the eigenvectors of the moment.
        """
        ab = negative_cosine(z["prediction_a"], z["target_b"].detach())
        ba = negative_cosine(z["prediction_b"], z["target_a"].detach())
        moment, mean = self.predictor.statistics(torch.cat([z["projection_a"], z["projection_b"]]))
        target = z["target_a"].detach()
        logs = {"spread": normalize(target, dim=1).std(0, correction=0).mean() * target.shape[1] ** 0.5}
        if self.predictor.rule is None and int(self.predictor.updates):
            logs["alignment"] = eigenspace_alignment(self.predictor.weight.detach(), self.predictor.moment)
        return Step((4 + 2 * ab + 2 * ba).mean(), logs, {"moment": comm.mean(moment), "mean": comm.mean(mean)})

    def after_update(self, ctx: Context) -> None:
        """Set the predictor, then move the target."""
        self.predictor.update(ctx.carry["moment"], ctx.carry["mean"])
        if self.teacher is not None:
            self.teacher.update(self.encoder, self.head)


@register(
    Card(
        slug="byol-linear",
        title="BYOL with a linear predictor, trained",
        name="BYOL, linear predictor",
        paper="arXiv:2006.07733",
        year=2020,
        modality="image",
        task="representation learning without labels",
        contrasts="a linear prediction from one view with the momentum target of the other; no negatives",
        pick="The fair baseline of directpred. To use BYOL take byol, whose predictor has two layers.",
        equation=r"\mathcal{L} = \frac1B\sum_i \big[4 - 2\cos(W f_i^1, y_i^2) - 2\cos(W f_i^2, y_i^1)\big]",
        traits=Traits(splits="mean", memory=("momentum encoder",)),
        oracle="directpred.npz",
        deviations=("Projector, target and recipe are those of directpred, so that the predictor alone differs.",),
    )
)
class BYOLLinear(DirectPred):
    """BYOL (Grill et al., 2020) with a linear predictor that gradient descent trains; logs its alignment.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        decay: of the moment that the alignment is read from.
        width: of the projector's hidden layer.
        dim: of projections and predictions.
        momentum: of the target.
    """

    def __init__(
        self, encoder: Encoder, *, decay: float = 0.3, width: int = 512, dim: int = 128, momentum: float = 0.996
    ) -> None:
        super().__init__(encoder, predictor="trained", decay=decay, width=width, dim=dim, momentum=momentum)


def _tiny(method: type) -> Recipe:
    return tiny_images(
        method, width=32, dim=16, momentum=0.9, views=PLAIN_UNFLIPPED, optimizer=spec(sgd, lr=0.05, weight_decay=4e-4)
    )


def _small(method: type) -> Recipe:
    return small_images(
        method,
        width=256,
        dim=64,
        momentum=0.98,
        views=PLAIN,
        optimizer=spec(sgd, lr=0.05, weight_decay=4e-4),
        schedule=spec(cosine),
        batch=128,
    )


def _paper(method: type) -> Recipe:
    return imagenet(
        method,
        encoder=spec(resnet18),
        data=spec(image_folder, path="stl10", image_size=96),
        views=spec(simclr_views),
        optimizer=spec(sgd, lr=0.03, weight_decay=4e-4, decay_all=True),
        schedule=spec(constant),
        batch=128,
        epochs=100,
    )


@recipe(DirectPred)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return _tiny(DirectPred)


@recipe(DirectPred)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing, a faster target for a short run."""
    return _small(DirectPred)


@recipe(DirectPred)
def paper() -> Recipe:
    """STL-10 as in the paper: ResNet-18, batch 128, 100 epochs."""
    return _paper(DirectPred)


@recipe(BYOLLinear)
def linear_tiny() -> Recipe:
    """The one of directpred."""
    return _tiny(BYOLLinear)


@recipe(BYOLLinear)
def linear_small() -> Recipe:
    """The one of directpred."""
    return _small(BYOLLinear)


@recipe(BYOLLinear)
def linear_paper() -> Recipe:
    """The one of directpred."""
    return _paper(BYOLLinear)
