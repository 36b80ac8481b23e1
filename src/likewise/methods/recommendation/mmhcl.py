"""MMHCL: users who share items and items that look alike form hypergraphs, to which the graph's embeddings are held."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from likewise.core.batch import Batch, View
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError, near
from likewise.core.learner import Embeddings, Learner, Step
from likewise.core.recipe import FROM_DATA, Recipe, spec
from likewise.core.registry import recipe, register
from likewise.data.user_sampler import DistinctUsers
from likewise.functional import bpr, half_squares, node_info_nce
from likewise.parts.encoders.propagation import Hypergraph, Interactions, SparseMatrix, neighbourhoods
from likewise.parts.optimizers import adam
from likewise.parts.recommenders import index, table, triple
from likewise.parts.schedules import exponential
from likewise.recipes.recommendation import published, small_movies, tiny_blocks
from likewise.similarity import unit_rows


@register(
    Card(
        slug="mmhcl",
        title="MMHCL: Multi-Modal Hypergraph Contrastive Learning for Recommendation",
        name="MMHCL",
        paper="arXiv:2504.16576",
        year=2025,
        modality="interactions",
        task="top-k recommendation with features of the items",
        contrasts="a user, or item, as the graph of interactions and its hypergraph see it together with what the "
        "hypergraph alone sees, against all other users, or items",
        pick="Few interactions and something known about the items: genres, prices, words, vectors of pictures.",
        equation=r"\mathcal{L} = \mathcal{L}_{\mathrm{BPR}} + \mathcal{L}_{\mathrm{reg}}"
        r" + \sum_{(a,b)} \frac{r}{N}\sum_{n=1}^{N}\Big[-\frac{s(a_n,b_n)}{\tau} + \log\Big(\sum_j e^{s(a_n,b_j)/\tau}"
        r" + \sum_{j\neq n} e^{s(a_n,a_j)/\tau}\Big)\Big],\quad a = \bar e + \frac{b}{|b|}",
        code="Xu107/MMHCL (no licence)",
        traits=Traits(splits="mean", min_batch=1),
        oracle="mmhcl.npz",
        claim=Claim(
            says="With genres, years and titles of the films MMHCL finds more of what people like than LightGCN of the "
            "same width, depth and length.",
            data="ml-100k",
            metric="top20_recall",
            beats="lightgcn",
            seeds=3,
            settings=(("dim", 64), ("layers", 2), ("penalty", 1e-3), ("epochs", 40.0), ("optimizer.lr", 5e-3)),
        ),
        deviations=(
            "A similarity below 0 among an item's nearest leaves the pair out of the hypergraph; the code keeps it as "
            "it is, and the degrees can become negative and the loss not a number.",
            "Hypergraphs are kept as incidences and applied in two products: the same numbers to rounding, but the "
            "matrix of all pairs is never there.",
            "The test split is ranked without the validation items, which the code leaves among the candidates "
            "(measure.mask_valid=false does), and NDCG is the standard one; the code's is top20_ndcg_found.",
            "The run has a length instead of stopping when the validation score stops rising.",
            "An epoch has as many full batches as fit into the interactions; the code takes one more.",
        ),
    )
)
class MMHCL(Learner):
    r"""MMHCL (Xu et al., 2025): LightGCN plus a hypergraph of users, one of items, and a contrast with each.

    .. math:: U = \bar e_u + \frac{s_u}{|s_u|},\quad V = \bar e_i + \frac{s_i}{|s_i|},\quad
              \mathcal{L} = \mathrm{BPR}(U, V) + \mathrm{reg} + r_u\,\mathrm{CL}(U, s_u) + r_i\,\mathrm{CL}(V, s_i)

    with e propagated along the interactions, s along the hypergraphs (users by the items that they share, items by
    their nearest in each kind of features), and CL the one-way contrast of cosines over all users, or items, with
    negatives from both sides. A hypergraph whose ratio is 0 is left out of U or V, too: with both ratios 0 it is
    LightGCN with ``penalised="propagated"``.

    Args:
        num_users: of the data.
        num_items: of the data.
        dim: width of the embeddings.
        layers: of the graph of interactions.
        user_layers: of the hypergraph of users.
        item_layers: of the hypergraph of items.
        neighbours: k, items in an item's neighbourhood, itself among them, for each kind of features.
        features: kinds of features to use (``attributes``, or the name of a column of text); all if empty.
        temperature: tau.
        user_ratio: weight of the users' contrast.
        item_ratio: weight of the items' contrast.
        penalty: lambda, on half the squares of a triple's propagated embeddings.
    """

    def __init__(
        self,
        *,
        num_users: int = FROM_DATA,
        num_items: int = FROM_DATA,
        dim: int = 64,
        layers: int = 2,
        user_layers: int = 3,
        item_layers: int = 2,
        neighbours: int = 5,
        features: tuple[str, ...] = (),
        temperature: float = 0.6,
        user_ratio: float = 0.03,
        item_ratio: float = 0.07,
        penalty: float = 1e-3,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise InputError(f"temperature must be a number above 0, got {temperature!r}")
        if neighbours < 1:
            raise InputError(f"neighbours={neighbours}: an item has at least itself")
        self.user, self.item = table(num_users, dim), table(num_items, dim)
        # a branch that is off has no weights, which nothing would train
        self.user_shared = table(num_users, dim) if user_ratio else None
        self.item_shared = table(num_items, dim) if item_ratio else None
        self.layers, self.user_layers, self.item_layers = layers, user_layers, item_layers
        self.neighbours, self.features, self.temperature = neighbours, features, temperature
        self.user_ratio, self.item_ratio, self.penalty = user_ratio, item_ratio, penalty

    def attach(self, shared: Mapping[str, Any]) -> None:
        """Build the graph and both hypergraphs, of the training interactions and the items' features."""
        user, item = shared["train"]
        shape = len(self.user), len(self.item)
        graphs = nn.ModuleDict({"interactions": Interactions(shared["train"], *shape)})
        if self.user_ratio:
            taken = SparseMatrix(user, item, torch.ones(len(user)), shape)
            graphs["user"] = Hypergraph(taken, loops=False)
        if self.item_ratio:
            graphs["item"] = Hypergraph(neighbourhoods(self._chosen(shared), self.neighbours), loops=True)
        self.graphs = graphs.to(self.user.device)

    def _chosen(self, shared: Mapping[str, Any]) -> list[Tensor]:
        held: Mapping[str, Tensor] = shared["item_features"]
        if not held:
            raise InputError("mmhcl needs to know something of the items: put items.csv beside the interactions, or "
                             "set item_ratio=0 to do without")  # fmt: skip
        for name in self.features:
            if name not in held:
                raise InputError(f"the items have no features {name!r}{near(name, held)}")
        return [held[name] for name in self.features or held]

    def tables(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """U ``(u, dim)``, V ``(i, dim)``, and what the hypergraphs add to each, None where they are off."""
        users, items = self.graphs["interactions"](self.user, self.item, self.layers)
        of_users = None if self.user_shared is None else self.graphs["user"](self.user_shared, self.user_layers)
        of_items = None if self.item_shared is None else self.graphs["item"](self.item_shared, self.item_layers)
        return (
            users if of_users is None else users + normalize(of_users, dim=1),
            items if of_items is None else items + normalize(of_items, dim=1),
            of_users,
            of_items,
        )

    def encode(self, batch: Batch) -> Embeddings:
        """``user``, ``positive`` and ``negative`` of each triple, ``(n, dim)``: rows of U and V."""
        return triple(*self.tables()[:2], batch)

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """BPR and the penalty over the triples, and both contrasts over everybody."""
        positive, negative = ((z["user"] * z[role]).sum(1) for role in ("positive", "negative"))
        rank = bpr(positive, negative).mean()
        loss, logs = rank + self.penalty * half_squares(*z.values()).mean(), {"bpr": rank.detach()}
        # z has the rows of the triples alone
        users, items, of_users, of_items = self.tables()
        branches = {"user": (self.user_ratio, users, of_users), "item": (self.item_ratio, items, of_items)}
        for role, (ratio, fused, other) in branches.items():
            if other is not None:
                contrast = node_info_nce(unit_rows(fused), unit_rows(other), temperature=self.temperature).mean()
                loss, logs[f"{role}_contrast"] = loss + ratio * contrast, contrast.detach()
        return Step(loss, logs)

    def embed(self, view: View, role: str | None = None) -> Tensor:
        """Items by their numbers, or users where ``role`` says so."""
        return index(self.tables()[:2], view, role)


@recipe(MMHCL)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_blocks(MMHCL, user_layers=2)


@recipe(MMHCL)
def small() -> Recipe:
    """Two minutes on two cores: MovieLens-100k with genres, years and titles."""
    return small_movies(MMHCL)


@recipe(MMHCL)
def paper() -> Recipe:
    """Tiktok as in the code's log: 0.96 times the rate every 50 epochs, features of pictures, sound and text."""
    return published(
        MMHCL,
        path="tiktok.csv",
        batch=1024,
        sampler=spec(DistinctUsers),
        optimizer=spec(adam, lr=1e-4, weight_decay=0.0),
        schedule=spec(exponential, end=0.96 ** (1000 / 50)),
    )
