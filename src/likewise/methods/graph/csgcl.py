"""CSGCL: GRACE with views and similarities that know how strong the communities of the graph are."""

import torch
from torch import Tensor

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Context, Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.parts.communities import louvain
from likewise.parts.encoders import GCN
from likewise.parts.heads import mlp
from likewise.parts.losses import NodeNTXent
from likewise.recipes.graph import published_graph, small_graph, tiny_graph
from likewise.views.graph import CommunityViews


def ramp(epoch: int, *, start: int, most: float, length: int = 100) -> float:
    """``min(max(0, (epoch - start) / length), most)``, with epochs counted from 1."""
    return min(max(0.0, (epoch - start) / length), most)


@register(
    Card(
        slug="csgcl",
        title="CSGCL: Community-Strength-Enhanced Graph Contrastive Learning",
        name="CSGCL",
        paper="arXiv:2305.04658",
        year=2023,
        modality="graph",
        task="node embeddings without labels",
        contrasts="a node in two views of the graph that keep the edges and feature columns of strong communities, "
        "against all other nodes, where those of strong communities weigh more and more",
        pick="A graph with real communities of different density. Costs little more than GRACE.",
        equation=r"\ell_i = -\log\frac{e^{s'(a_i, b_i)/\tau}}"
        r"{\sum_j e^{s'(a_i, b_j)/\tau} + \sum_{j\neq i} e^{s'(a_i, a_j)/\tau}}, "
        r"\quad s'(x_i, y_j) = s(x_i, y_j) + \gamma_t (S_i + S_j)",
        code="HanChen-HUST/CSGCL (MIT)",
        traits=Traits(splits="single", cacheable=False, min_batch=1, whole=True),
        oracle="csgcl.npz",
        claim=Claim(
            "views and similarities that know communities beat uniform ones (GRACE) in node classification",
            data="man-pages",
            metric="node_accuracy",
            beats="grace",
            seeds=5,
        ),
        deviations=(
            "Communities are found by Louvain, which comes with the installation; the paper's are found by Leiden.",
            "Where all edges or all columns are equal (one community) each has the mean probability; the code divides "
            "0 by 0. Columns that weak communities have alone count as the strongest; the code gives NaN.",
            "Draws belong to edges and columns, so that a view does not depend on their order; the code draws in turn.",
            "The claim is on citations among manual pages: the paper's graphs come in no package.",
        ),
    )
)
class CSGCL(Learner):
    r"""CSGCL (Chen et al., 2023): GRACE's contrast with team-up similarities.

    .. math:: \ell(a, b)_i = -\log\frac{e^{s'(a_i, b_i)/\tau}}
        {\sum_j e^{s'(a_i, b_j)/\tau} + \sum_{j\ne i} e^{s'(a_i, a_j)/\tau}}, \qquad
        s'(x_i, y_j) = s(x_i, y_j) + \gamma_t(S_i + S_j), \quad
        \gamma_t = \min\Big(\max\Big(0, \frac{t - t_0}{100}\Big), \gamma_{\max}\Big)

    with s the cosine of two projections, S the strength of a node's community (which the views give), t the epoch from
    1, and tau the temperature.

    Args:
        encoder: from a graph to ``(n, encoder.dim)``; what is kept after training.
        width: of the head's hidden layer; None: ``dim``.
        dim: of the projections.
        temperature: tau.
        start: t_0, the epoch from which communities weigh in the similarities.
        ramp_epochs: epochs in which gamma grows by 1.
        most: gamma_max.
    """

    gamma: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        width: int | None = None,
        dim: int = 128,
        temperature: float = 0.4,
        start: int = 1000,
        ramp_epochs: int = 100,
        most: float = 1.0,
    ) -> None:
        super().__init__()
        if ramp_epochs < 1 or most < 0:
            raise InputError(f"csgcl: ramp_epochs={ramp_epochs} must be at least 1 and most={most:g} at least 0")
        self.encoder = encoder
        self.head = mlp(encoder.dim, width or dim, dim, norm="none", act="elu")
        self.loss = NodeNTXent(temperature)
        self.start, self.ramp_epochs, self.most = start, ramp_epochs, most
        self.register_buffer("gamma", torch.zeros(1))

    def on_epoch(self, ctx: Context) -> None:
        """Gamma of this epoch."""
        self.gamma.fill_(ramp(ctx.epoch + 1, start=self.start, most=self.most, length=self.ramp_epochs))

    def encode(self, batch: Batch) -> Embeddings:
        """Projections of the nodes of both views, ``(n, dim)`` each."""
        return {role: self.head(self.encoder(batch.views[role])) for role in ("a", "b")}

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The contrast of every node, biased by the strength of its community."""
        strength = batch.views.get("strength")
        if not isinstance(strength, Tensor):
            raise InputError("csgcl needs the strength of communities, which the views community-graph give")
        bias = self.gamma * strength if bool(self.gamma) else None
        return Step(self.loss(z["a"], z["b"], bias=bias), {"gamma": self.gamma.clone()})


@recipe(CSGCL)
def tiny() -> Recipe:
    """For tests: milliseconds a step on 34 nodes; communities weigh from the third epoch."""
    return tiny_graph(CSGCL, spec(CommunityViews, communities=spec(louvain)), start=2, ramp_epochs=5)


@recipe(CSGCL)
def small() -> Recipe:
    """A minute on two cores: the citations among manual pages, as GRACE; communities weigh from epoch 100."""
    return small_graph(CSGCL, spec(CommunityViews, communities=spec(louvain)), start=100)


@recipe(CSGCL)
def paper() -> Recipe:
    """Amazon Photo as in the code: 3000 epochs, 93.32 % accuracy."""
    views = spec(CommunityViews, communities=spec(louvain), edge_drop=(0.5, 0.7), feature_mask=(0.1, 0.1))
    out = published_graph(CSGCL, "amazon_electronics_photo.npz", views, lr=0.1, epochs=3000)
    out.learner = spec(
        CSGCL, encoder=spec(GCN, width=512, dim=256), width=64, dim=256, temperature=0.3, start=2000, most=1.0
    )
    return out
