"""LightGCN: users and items are what their neighbours are; what somebody took ranks above what they did not."""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from likewise.core.batch import Batch, View
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Learner, Step
from likewise.core.recipe import FROM_DATA, Recipe, spec
from likewise.core.registry import recipe, register
from likewise.data.user_sampler import DistinctUsers
from likewise.functional import bpr, half_squares, table_norms
from likewise.parts.encoders.propagation import Interactions
from likewise.parts.recommenders import index, table, triple
from likewise.recipes.recommendation import published, small_movies, tiny_blocks


@register(
    Card(
        slug="lightgcn",
        title="LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation",
        name="LightGCN",
        paper="arXiv:2002.02126",
        year=2020,
        modality="interactions",
        task="top-k recommendation",
        contrasts="an item that a user took with one that they did not, by the embeddings that the graph of "
        "interactions spreads",
        pick="The baseline of recommenders: users, items and nothing else. Start here.",
        equation=r"\mathcal{L} = -\frac1B\sum_{(u,i,j)}\log\sigma(\bar e_u\cdot\bar e_i - \bar e_u\cdot\bar e_j)"
        r" + \frac{\lambda}{2B}\sum_{(u,i,j)}(|e_u|^2 + |e_i|^2 + |e_j|^2),\quad"
        r"\bar e = \frac{1}{L+1}\sum_{l=0}^{L}\hat A^l e",
        code="gusye1234/LightGCN-PyTorch (MIT); numbers of Coder-Yu/SELFRec",
        traits=Traits(splits="mean", min_batch=1),
        oracle="graph-recsys-series-baselines.npz",
        deviations=(
            "Embeddings start from Xavier's uniform distribution, as in SELFRec; the authors' PyTorch code draws from "
            "a normal one of deviation 0.1.",
            "A negative is drawn once among the items that are free, where the code draws again until one is.",
            "The run has a length instead of stopping when the validation score stops rising.",
        ),
    )
)
class LightGCN(Learner):
    r"""LightGCN (He et al., 2020): the mean of ``layers + 1`` propagations (Eq. 3, 4), BPR and a penalty (Eq. 15).

    .. math:: \mathcal{L} = -\tfrac1B\sum\log\sigma(\bar e_u\cdot\bar e_i - \bar e_u\cdot\bar e_j)
              + \tfrac{\lambda}{2B}\sum\big(|e_u|^2 + |e_i|^2 + |e_j|^2\big)

    over the triples of user, positive and negative of a batch, with e the embeddings that are learned.

    Args:
        num_users: of the data.
        num_items: of the data.
        dim: width of the embeddings.
        layers: L, of propagation; 0 is matrix factorisation.
        penalty: lambda.
        penalised: the embeddings that are learned (``"learned"``), or what the graph makes of them
            (``"propagated"``, as MMHCL's code).
        variant: ``"selfrec"``: 1e-5 inside of BPR's logarithm, and norms that are not squared, over B twice.
    """

    def __init__(
        self,
        *,
        num_users: int = FROM_DATA,
        num_items: int = FROM_DATA,
        dim: int = 64,
        layers: int = 3,
        penalty: float = 1e-4,
        penalised: Literal["learned", "propagated"] = "learned",
        variant: Literal["paper", "selfrec"] = "paper",
    ) -> None:
        super().__init__()
        self.user, self.item = table(num_users, dim), table(num_items, dim)
        self.layers, self.penalty, self.penalised, self.variant = layers, penalty, penalised, variant

    def attach(self, shared: Mapping[str, Any]) -> None:
        """Keep the graph of the training interactions."""
        self.graph = Interactions(shared["train"], len(self.user), len(self.item)).to(self.user.device)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Every user ``(u, dim)`` and item ``(i, dim)``, propagated."""
        users, items = self.graph(self.user, self.item, self.layers)
        return users, items

    def encode(self, batch: Batch) -> Embeddings:
        """``user``, ``positive`` and ``negative`` of each triple, propagated, ``(n, dim)``."""
        return triple(*self.tables(), batch)

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """BPR and the penalty, means over the triples."""
        positive, negative = ((z["user"] * z[role]).sum(1) for role in ("positive", "negative"))
        rank = bpr(positive, negative, floor=1e-5 if self.variant == "selfrec" else 0.0).mean()
        weights = (z if self.penalised == "propagated" else triple(self.user, self.item, batch)).values()
        size = table_norms(*weights) / len(batch) if self.variant == "selfrec" else half_squares(*weights).mean()
        return Step(rank + self.penalty * size, {"bpr": rank.detach()})

    def embed(self, view: View, role: str | None = None) -> Tensor:
        """Items by their numbers, or users where ``role`` says so."""
        return index(self.tables(), view, role)


@recipe(LightGCN)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_blocks(LightGCN)


@recipe(LightGCN)
def small() -> Recipe:
    """A minute on two cores: MovieLens-100k."""
    return small_movies(LightGCN, penalty=1e-3)


@recipe(LightGCN)
def paper() -> Recipe:
    """Yelp2018 as in table 4: 3 layers, batch 2048, 1000 epochs, users drawn alike as in the code."""
    return published(LightGCN, path="yelp2018.csv", layers=3, penalty=1e-4, batch=2048, sampler=spec(DistinctUsers))
