"""GRACE: a node in two damaged copies of its graph agrees with itself, against all other nodes of both copies."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.parts.heads import mlp
from likewise.parts.losses import NodeNTXent
from likewise.recipes.graph import published_graph, small_graph, tiny_graph
from likewise.views.graph import GraphViews


@register(
    Card(
        slug="grace",
        title="Deep Graph Contrastive Representation Learning",
        name="GRACE",
        paper="arXiv:2006.04131",
        year=2020,
        modality="graph",
        task="node embeddings without labels",
        contrasts="a node in two views of the graph (edges left out, feature columns masked), against all other nodes "
        "in the other view and in its own",
        pick="One graph whose nodes have features: citations, products, pages. The plain method to start with.",
        equation=r"\ell_i = -\log\frac{e^{s(a_i, b_i)/\tau}}"
        r"{\sum_j e^{s(a_i, b_j)/\tau} + \sum_{j\neq i} e^{s(a_i, a_j)/\tau}}",
        code="CRIPAC-DIG/GRACE (Apache-2.0)",
        traits=Traits(splits="single", cacheable=False, min_batch=1, whole=True),
        oracle="graph-recsys-series-baselines.npz",
        deviations=(
            "Draws belong to edges and columns, so that a view does not depend on their order; the code draws in turn.",
            "Accuracy is that of a logistic regression fitted to convergence, its C chosen on validation nodes, over "
            "random splits into 10 % training, 10 % validation and 80 % test nodes.",
        ),
    )
)
class GRACE(Learner):
    r"""GRACE (Zhu et al., 2020): node-level contrast with inter-view and intra-view negatives (Eq. 1 and 2).

    .. math:: \ell(a, b)_i = -\log\frac{e^{s(a_i, b_i)/\tau}}
        {\sum_j e^{s(a_i, b_j)/\tau} + \sum_{j\ne i} e^{s(a_i, a_j)/\tau}}

    with s the cosine of two projections and tau the temperature; the loss is the mean of ``l(a, b)`` and ``l(b, a)``
    over nodes. Rows and columns are taken in tiles: memory is linear in the number of nodes. A graph of one node
    costs 0.

    Args:
        encoder: from a graph to ``(n, encoder.dim)``; what is kept after training.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        temperature: tau.
    """

    def __init__(self, encoder: Encoder, *, width: int | None = None, dim: int = 128, temperature: float = 0.4) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = mlp(encoder.dim, width or dim, dim, norm="none", act="elu")
        self.loss = NodeNTXent(temperature)

    def encode(self, batch: Batch) -> Embeddings:
        """Projections of the nodes of both views, ``(n, dim)`` each."""
        return {role: self.head(self.encoder(batch.views[role])) for role in ("a", "b")}

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The contrast of every node."""
        return Step(self.loss(z["a"], z["b"]))


@recipe(GRACE)
def tiny() -> Recipe:
    """For tests: milliseconds a step on 34 nodes."""
    return tiny_graph(GRACE, spec(GraphViews))


@recipe(GRACE)
def small() -> Recipe:
    """A minute on two cores: the citations among manual pages, with the paper's settings for Cora."""
    return small_graph(GRACE, spec(GraphViews))


@recipe(GRACE)
def paper() -> Recipe:
    """Cora as in the paper's table 5: 200 epochs, 83.3 % accuracy on random splits."""
    return published_graph(GRACE, "cora.npz", spec(GraphViews), lr=5e-4, epochs=200)
