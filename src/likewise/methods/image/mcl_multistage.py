"""MCL: what earlier stages tell apart separates no negatives any more, so that a later stage learns the rest.

Two cards stand here, the method and its baseline with one cluster, which is why the file is long.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Context, Embeddings, Encoder, Learner, Step
from likewise.core.recipe import FROM_DATA, Recipe, Stage, spec
from likewise.core.registry import recipe, register
from likewise.data.composed import coloured_digits
from likewise.data.sampler import Grouped
from likewise.parts.clustering import kmeans
from likewise.parts.encoders import ConvNet
from likewise.parts.ensemble import Ensemble, fresh
from likewise.parts.heads import mlp, together
from likewise.parts.losses import NTXent
from likewise.recipes.image import imagenet, small_images, tiny_images
from likewise.views.image import two_crops

_LATER = (("sampler", spec(Grouped)),)


def stages(number: int) -> tuple[Stage, ...]:
    """The first stage with ordinary batches, ``number - 1`` more with batches from one group of samples each."""
    return tuple(Stage(f"stage-{s}", _LATER if s else ()) for s in range(number))


def cross_stage(previous: Tensor, labels: Tensor, clusters: int) -> Tensor:
    """Groups of samples that shared every cluster so far, ``(n,)``: the digits of a number to the base ``clusters``."""
    return previous * clusters + labels


@register(
    Card(
        slug="mcl-multistage",
        title="Learning the Unlearned: Mitigating Feature Suppression in Contrastive Learning",
        name="MCL",
        paper="arXiv:2402.11816",
        year=2024,
        modality="image",
        task="representation learning without labels, where an easy feature hides others",
        contrasts="two crops of an image, against images that every earlier stage put into the same cluster",
        pick="When search or probes show that embeddings know colour or texture and little else.",
        equation=r"\mathcal{L}_s = -\frac{1}{2B}\sum_i\log\frac{e^{u_i\cdot u_{p(i)}/\tau}}"
        r"{\sum_{k\neq i,\ g_{s}(k)=g_{s}(i)} e^{u_i\cdot u_k/\tau}},\quad g_{s} = K g_{s-1} + c_{s-1},\quad "
        r"z = [f_0(x), \ldots, f_S(x)]",
        code="MajorDavidZhang/MCL (no licence file)",
        traits=Traits(),
        oracle="mcl-multistage.npz",
        claim=Claim(
            says="Features of two stages know the suppressed feature (the digit) better than those of two networks of "
            "the same total width that were trained the usual way.",
            data="coloured-digits",
            metric="linear",
            beats="simclr-ensemble",
            also=((("data.label", "colour"),),),
        ),
        deviations=(
            "Groups follow the paper's rule, all clusters of all earlier stages; the released cluster.py reads the "
            "current stage's labels again and again, which gives the groups of the last stage alone.",
            "An epoch is as long as in the first stage: the groups are gone through again until it is full.",
            "k-means is Lloyd's on all rows; the code uses mini-batches for large sets.",
            "The released recipe fine-tunes CLIP from the same weights at every stage; here a stage starts fresh.",
        ),
    )
)
class MCL(Learner):
    r"""MCL (Zhang et al., 2024) on SimCLR: stages with feature-aware negatives, and their features side by side.

    Before stage s the training samples are clustered by the features of stage s - 1. Batches of stage s come from
    one group of samples that shared all clusters so far, so that what those features tell apart is no help; a fresh
    encoder has to find something else. The representation is the concatenation of the stages' features.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; one like it for every stage.
        num_samples: of the training set.
        num_stages: how many encoders; the recipe's stages.
        clusters: K, of each clustering.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        temperature: tau.
    """

    groups_of: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        num_samples: int = FROM_DATA,
        num_stages: int = 2,
        clusters: int = 10,
        width: int | None = None,
        dim: int = 128,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        if num_stages < 1 or clusters < 1:
            raise InputError(f"mcl: num_stages={num_stages} and clusters={clusters} must be at least 1")
        head = mlp(encoder.dim, width or encoder.dim, dim)
        self.encoder = Ensemble(encoder, num_stages)
        self.heads = nn.ModuleList([head, *(fresh(head) for _ in range(num_stages - 1))])  # type: ignore[arg-type]
        self.register_buffer("groups_of", torch.zeros(num_samples, dtype=torch.int64))
        self.loss, self.clusters = NTXent(temperature), clusters
        self._let_train(0)

    @property
    def stage(self) -> int:
        """The stage that trains, from 0."""
        return self.encoder.num_used - 1

    def begin_stage(self, name: str, ctx: Context) -> None:
        """Cluster by the features of the stage that has ended, and go on to the next encoder."""
        number = int(name.rpartition("-")[2])
        if number == 0:
            return
        if number >= len(self.heads):
            raise InputError(f"the recipe has a {name}, but num_stages={len(self.heads)}")
        assert ctx.extract is not None, "MCL clusters the training samples, and this loop has no way to read them"
        self.eval()
        rows = ctx.extract(lambda view: normalize(self.encoder.newest(view), dim=1))
        self.train()
        found = kmeans(rows, self.clusters, generator=torch.Generator().manual_seed(number), redo=3)
        labels = ctx.comm.broadcast(found.assignment.contiguous())
        self.groups_of.copy_(cross_stage(self.groups_of, labels, self.clusters))
        self._let_train(number)

    def _let_train(self, stage: int) -> None:
        self.encoder.used.fill_(stage + 1)
        for number, pair in enumerate(zip(self.encoder.members, self.heads)):
            for module in pair:
                module.requires_grad_(number == stage)

    def sample_groups(self) -> Tensor:
        """``(num_samples,)`` int64: which training samples shared every cluster so far."""
        return self.groups_of

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """What the current stage trains."""
        return {"all": [*self.encoder.newest.parameters(), *self.heads[self.stage].parameters()]}

    def encode(self, batch: Batch) -> Embeddings:
        """Projections of both views by the current stage, ``(n, dim)`` each."""
        roles = ("a", "b")
        views = [batch.views[role] for role in roles]
        return dict(zip(roles, together(views, self.encoder.newest, self.heads[self.stage])))

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """NT-Xent over everybody's rows."""
        return Step(self.loss(z["a"], z["b"], ids=batch.ids, comm=comm))


@register(
    Card(
        slug="simclr-ensemble",
        title="Networks trained apart, their features side by side",
        name="SimCLR x 2",
        paper="arXiv:2002.05709",
        year=2020,
        modality="image",
        task="representation learning without labels",
        contrasts="two crops of an image, for each network by itself",
        pick="The fair baseline of methods that concatenate several networks.",
        equation=r"z = [f_0(x), \ldots, f_S(x)]",
        traits=Traits(),
        deviations=("Each network is SimCLR's; the paper trains one.",),
    )
)
class SimCLREnsemble(MCL):
    """SimCLR, several times: MCL with a single cluster, so that every stage sees ordinary batches.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; one like it for every network.
        num_samples: of the training set.
        num_stages: how many networks; the recipe's stages.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        temperature: tau.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        num_samples: int = FROM_DATA,
        num_stages: int = 2,
        width: int | None = None,
        dim: int = 128,
        temperature: float = 0.1,
    ) -> None:
        super().__init__(
            encoder, num_samples=num_samples, num_stages=num_stages, clusters=1, width=width, dim=dim,
            temperature=temperature,
        )  # fmt: skip


# crops alone: colour is what the first stage is meant to fall for
_CROPS = spec(two_crops, min_scale=0.3, flip=False, jitter=(0.0, 0.0, 0.0, 0.0), gray_prob=0.0, blur_prob=0.0)


def _alone(base: Recipe) -> Recipe:
    base.learner = spec(SimCLREnsemble, **{k: v for k, v in base.learner.settings.items() if k != "clusters"})
    return base


@recipe(MCL)
def tiny() -> Recipe:
    """For tests: milliseconds a step, two stages of five."""
    return tiny_images(MCL, clusters=2, dim=16, data=spec(coloured_digits), views=_CROPS, steps=5, stages=stages(2))


@recipe(MCL)
def small() -> Recipe:
    """A minute on two cores: faint digits on strong colours, two stages of 30 epochs."""
    return small_images(
        MCL,
        clusters=4,
        dim=64,
        temperature=0.2,
        encoder=spec(ConvNet, dim=64),
        data=spec(coloured_digits),
        views=_CROPS,
        batch=128,
        epochs=30,
        stages=stages(2),
    )


@recipe(MCL)
def paper() -> Recipe:
    """Three stages with K = 10 as in the paper, on ImageNet with SimCLR's recipe."""
    return imagenet(MCL, num_stages=3, batch=1024, epochs=100, stages=stages(3))


@recipe(SimCLREnsemble)
def ensemble_tiny() -> Recipe:
    """MCL's, without clusters."""
    return _alone(tiny())


@recipe(SimCLREnsemble)
def ensemble_small() -> Recipe:
    """MCL's, without clusters."""
    return _alone(small())


@recipe(SimCLREnsemble)
def ensemble_paper() -> Recipe:
    """MCL's, without clusters."""
    return _alone(paper())
