"""MV-DHEL and MV-InfoNCE: all views of an image in one term of the loss, not pair by pair.

Two cards stand here, the method and the aggregations that it is measured against, which is why the file is long.
"""

from functools import partial
from typing import Literal

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, Spec, spec
from likewise.core.registry import recipe, register
from likewise.functional import against_mean, mv_dhel, mv_info_nce, nt_xent, pairwise, poly_view_nce
from likewise.parts.encoders import resnet50
from likewise.parts.heads import mlp, together
from likewise.parts.optimizers import sgd
from likewise.parts.schedules import cosine
from likewise.recipes.image import imagenet, small_images, tiny_images
from likewise.similarity import unit_rows
from likewise.views.image import multi_crop


class _MultiView(Learner):
    """What both share: one pass of all views through encoder and head, whose last batch norm does not shift.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        dim: of the projections.
        temperature: tau.
    """

    def __init__(self, encoder: Encoder, *, dim: int, temperature: float) -> None:
        super().__init__()
        if not temperature > 0:
            raise InputError(f"multi-view contrast: temperature is {temperature}, but must be > 0")
        self.encoder, self.temperature = encoder, temperature
        self.head = mlp(encoder.dim, encoder.dim, dim, last_norm="scale")

    def encode(self, batch: Batch) -> Embeddings:
        """Projections of every view that the batch has, ``(n, dim)`` each, from one pass through the batch norms."""
        return dict(zip(batch.views, together(list(batch.views.values()), self.encoder, self.head)))


@register(
    Card(
        slug="mv-infonce",
        title="A Principled Framework for Multi-View Contrastive Learning",
        name="MV-DHEL",
        paper="arXiv:2507.06979",
        year=2025,
        modality="image",
        task="representation learning without labels",
        contrasts="all crops of an image jointly, against the crops of other images: the same crop of each (mv-dhel) "
        "or all of them (mv-infonce)",
        pick="Three views or more of each sample: more crops spread the features instead of only adding pairs.",
        equation=r"\mathcal{L} = \frac1B\sum_i\Big[-\log\sum_{l<m} e^{\langle u_{il}, u_{im}\rangle/\tau}"
        r" + \sum_l\log\sum_{j\neq i} e^{\langle u_{il}, u_{jl}\rangle/\tau}\Big]",
        code="pakoromilas/Multi-View-CL (no licence file)",
        traits=Traits(splits="gather"),
        oracle="mv-infonce.npz",
        claim=Claim(
            says="With four views of each image, MV-DHEL's features use more directions than those of NT-Xent averaged "
            "over all pairs of the same views, at a linear accuracy within a hundredth of it.",
            data="fashion-mnist",
            metric="effective_rank",
            beats="multi-view-simclr",
            settings=(("data.limit", 4000), ("data.test_limit", 2000), ("epochs", 8)),
            further=(("linear", "multi-view-simclr", 0.99),),
        ),
        deviations=(
            "mv-infonce: other samples' same view is no negative, as in the paper's formula; the code, with which the "
            "published numbers were made, takes it as one: variant='code'.",
            "mv-dhel: in log space; the code divides by a product of sums, which overflows for many views.",
            "mv-dhel: a row is not its own negative and pairs of views are counted once, as in the code; the README's "
            "formula differs by constants.",
            "Weights start as PyTorch has them; the code draws linear and convolution weights from narrow normals.",
            "Batch norm sees the rows of one process.",
        ),
    )
)
class MVInfoNCE(_MultiView):
    r"""MV-DHEL or MV-InfoNCE (Koromilas et al., 2025) of as many views as the recipe's ``views`` give, 2 or more.

    ``mv-dhel`` sums, for each view by itself, how near other samples come, and has one term for all pairs of an
    image's views (:func:`likewise.functional.mv_dhel`); ``mv-infonce`` is one softmax over all
    (:func:`likewise.functional.mv_info_nce`). The number of views is a setting of the views:
    ``--set views.num_global=5``.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        loss: which of the two.
        variant: of mv-infonce, whether other samples' same view counts (``code``).
        dim: of the projections.
        temperature: tau; the paper has 0.5 for CIFAR and 0.1 for ImageNet.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        loss: Literal["mv-dhel", "mv-infonce"] = "mv-dhel",
        variant: Literal["paper", "code"] = "paper",
        dim: int = 128,
        temperature: float = 0.5,
    ) -> None:
        super().__init__(encoder, dim=dim, temperature=temperature)
        self.loss = mv_dhel if loss == "mv-dhel" else partial(mv_info_nce, variant=variant)

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The mean over samples of their one term."""
        views = [unit_rows(rows) for rows in z.values()]
        return Step(self.loss(views, temperature=self.temperature, ids=batch.ids, comm=comm).mean())


@register(
    Card(
        slug="multi-view-simclr",
        title="Two-view losses, aggregated over many views",
        name="SimCLR, many views",
        paper="arXiv:2002.05709",
        year=2020,
        modality="image",
        task="representation learning without labels",
        contrasts="two crops of an image at a time, every pair of its crops in turn",
        pick="The fair baseline of methods with many views.",
        equation=r"\mathcal{L} = \operatorname{mean}_{l<m}\,\mathcal{L}_{NT-Xent}(u_l, u_m)",
        traits=Traits(splits="gather"),
        oracle="mv-infonce.npz",
        deviations=("Head and views are those of mv-infonce, so that the losses alone differ.",),
    )
)
class MultiViewSimCLR(_MultiView):
    r"""NT-Xent (Chen et al., 2020) of many views, aggregated in one of three ways.

    ``pairs``: the mean over all pairs of views; ``mean``: each view against the mean of the others; ``poly-view``:
    every ordered pair against all views of the other images (Shidani et al., arXiv:2403.05490). With two views all
    three are SimCLR's loss.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        aggregate: which of the three.
        dim: of the projections.
        temperature: tau.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        aggregate: Literal["pairs", "mean", "poly-view"] = "pairs",
        dim: int = 128,
        temperature: float = 0.5,
    ) -> None:
        super().__init__(encoder, dim=dim, temperature=temperature)
        self.aggregate = aggregate

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The mean over anchors and views."""
        views, tau = [unit_rows(rows) for rows in z.values()], self.temperature
        if self.aggregate == "poly-view":
            return Step(poly_view_nce(views, temperature=tau, ids=batch.ids, comm=comm).mean())
        two = partial(nt_xent, temperature=tau, ids=batch.ids, comm=comm)
        return Step((pairwise if self.aggregate == "pairs" else against_mean)(views, two).mean())


def _crops(**changes: object) -> Spec:
    """Four crops in the paper's colours for CIFAR."""
    settings: dict[str, object] = {"num_global": 4, "num_local": 0, "global_scale": (0.08, 1.0), "blur_prob": 0.0}
    return spec(multi_crop, **{**settings, "jitter": (0.4, 0.4, 0.4, 0.1), **changes})


def _tiny(method: type) -> Recipe:
    return tiny_images(method, dim=16, views=_crops(flip=False))


def _small(method: type) -> Recipe:
    return small_images(method, dim=64, views=_crops(global_scale=(0.2, 1.0)))


def _paper(method: type) -> Recipe:
    return imagenet(
        method,
        temperature=0.1,
        encoder=spec(resnet50),
        views=_crops(blur_prob=0.5, jitter=(0.8, 0.8, 0.8, 0.2)),
        optimizer=spec(sgd, lr=0.3, weight_decay=1e-6),
        schedule=spec(cosine, warmup=0.1),
        batch=256,
        epochs=100,
    )


@recipe(MVInfoNCE)
def tiny() -> Recipe:
    """For tests: milliseconds a step, four views."""
    return _tiny(MVInfoNCE)


@recipe(MVInfoNCE)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing, four views of each."""
    return _small(MVInfoNCE)


@recipe(MVInfoNCE)
def paper() -> Recipe:
    """ImageNet as in the paper: batch 256, 100 epochs, SGD; here with four views."""
    return _paper(MVInfoNCE)


@recipe(MultiViewSimCLR)
def pairs_tiny() -> Recipe:
    """mv-infonce's."""
    return _tiny(MultiViewSimCLR)


@recipe(MultiViewSimCLR)
def pairs_small() -> Recipe:
    """mv-infonce's."""
    return _small(MultiViewSimCLR)


@recipe(MultiViewSimCLR)
def pairs_paper() -> Recipe:
    """mv-infonce's."""
    return _paper(MultiViewSimCLR)
