"""A small honest method, and copies of it with one fault each, to see that the checks see."""

import random

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from likewise.core.batch import Batch, Graph
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.decoder import Sources
from likewise.core.draws import Draws
from likewise.core.learner import Context, Learner, Phase, Step
from likewise.core.recipe import FROM_DATA, Recipe, part, spec
from likewise.core.registry import recipe, register
from likewise.core.study import Finding, Variation
from likewise.data.dataset import Dataset


@part("data", "miniature")
def miniature_data(rows: int = 64) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.rand(rows, 6, generator=generator)
    labels = torch.arange(rows) % 4
    keys = [f"row {i}" for i in range(rows)]
    return Dataset("miniature", {"vector": vectors}, keys, torch.arange(rows) % 8 == 0, labels, list("abcd"))


@part("views", "miniature")
class MiniatureViews(nn.Module):
    def forward(self, columns: dict[str, Tensor], draws: Draws) -> dict[str, Tensor]:
        return {role: columns["vector"] + 0.1 * draws.fork(role).normal(6) for role in "ab"}

    def plain(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"vector": columns["vector"]}


@part("optimizer", "miniature")
def miniature_optimizer(lr: float = 0.1) -> float:
    return lr


@part("schedule", "miniature")
def miniature_schedule(steps: int = FROM_DATA) -> int:
    return steps


@part("encoder", "miniature")
class MiniatureEncoder(nn.Module):
    def __init__(self, dim: int = 5) -> None:
        super().__init__()
        self.dim = dim
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, dim))

    def forward(self, view: Tensor) -> Tensor:
        return self.layers(view)


def recipe_of(cls: type) -> Recipe:
    return Recipe(
        spec(cls, encoder=spec(MiniatureEncoder)),
        data=spec(miniature_data),
        views=spec(MiniatureViews),
        optimizer=spec(miniature_optimizer),
        schedule=spec(miniature_schedule),
        batch=16,
        steps=4,
    )


def card(slug: str, **changes: object) -> Card:
    facts: dict = {
        "slug": slug,
        "title": "A Method for Tests",
        "name": slug,
        "paper": "arXiv:2110.06848",
        "year": 2021,
        "modality": "vector",
        "task": "representation learning",
        "contrasts": "two noisy copies of a vector",
        "pick": "Never.",
        "equation": r"\ell = -s_{ii} + \log\sum_j e^{s_{ij}}",
        "traits": Traits(splits="gather", memory=("momentum encoder", "queue")),
    }
    return Card(**facts | changes)


def named(slug: str, sizes: tuple[str, ...] = ("tiny", "small", "paper"), **changes: object):
    """Register a class with a card and the same recipe in every size."""

    def add(cls: type) -> type:
        register(card(slug, **changes))(cls)
        for size in sizes:

            def make(cls: type = cls) -> Recipe:
                return getattr(cls, "made_with", recipe_of)(cls)

            make.__name__ = size
            recipe(cls)(make)
        return cls

    return add


@named("mini")
class Mini(Learner):
    """InfoNCE against everybody's keys of a momentum encoder and a queue; positives are found by id."""

    queue: Tensor

    def __init__(self, encoder: nn.Module, *, temperature: float = 0.5, momentum: float = 0.9) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.encoder, self.temperature, self.momentum = encoder, temperature, momentum
        self.head = nn.Linear(encoder.dim, 4)
        self.teacher = nn.Sequential(MiniatureEncoder(encoder.dim), nn.Linear(encoder.dim, 4)).requires_grad_(False)
        self.register_buffer("queue", normalize(torch.randn(8, 4), dim=1))

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            key = self.teacher(batch.views["b"])
        return {"query": self.head(self.encoder(batch.views["a"])), "key": key}

    def objective(self, z: dict[str, Tensor], batch: Batch, comm: Collective) -> Step:
        with torch.autocast("cpu", enabled=False):
            query, key = (normalize(z[k], dim=1) for k in ("query", "key"))
            everyone = comm.gather(key)
            same = batch.ids[:, None] == comm.gather(batch.ids)[None, :]
            logits = torch.cat([query @ everyone.T, query @ self.queue.to(query).T], 1) / self.temperature
            own = (query * key).sum(1) / self.temperature
            logits[:, : len(everyone)] = logits[:, : len(everyone)].masked_fill(same, -torch.inf)
            loss = torch.cat([own[:, None], logits], 1).logsumexp(1) - own
        return Step(loss.mean(), {"own": own.detach().mean()}, {"key": key.detach()})

    def after_update(self, ctx: Context) -> None:
        new = ctx.comm.gather(ctx.carry["key"])
        self.queue.copy_(torch.cat([new, self.queue.to(new)])[: len(self.queue)])
        for slow, fast in zip(self.teacher.parameters(), [*self.encoder.parameters(), *self.head.parameters()]):
            slow.mul_(self.momentum).add_(fast, alpha=1 - self.momentum)


# --- a graph, whose batch is the whole of it --------------------------------------------------------------------------


@part("data", "miniature-graph")
def miniature_graph(nodes: int = 12) -> Dataset:
    data = miniature_data(nodes)
    i = torch.arange(nodes)
    edges = torch.stack([torch.cat([i, (i + 1) % nodes]), torch.cat([(i + 1) % nodes, i])])
    keys, test = list(data.keys), torch.zeros(nodes, dtype=torch.bool)
    return Dataset("ring", {"graph": Graph(data.columns["vector"], edges)}, keys, test, data.labels, list("abcd"))


@part("views", "miniature-graph")
class MiniatureGraphViews(nn.Module):
    def forward(self, columns: dict[str, Graph], draws: Draws) -> dict[str, Graph]:
        graph = columns["graph"]
        return {role: Graph(graph.x + 0.1 * draws.fork(role).normal(6), graph.edges) for role in "ab"}

    def plain(self, columns: dict[str, Graph]) -> dict[str, Graph]:
        return dict(columns)


def graph_recipe_of(cls: type) -> Recipe:
    out = recipe_of(cls)
    out.data, out.views = spec(miniature_graph), spec(MiniatureGraphViews)
    return out


WHOLE = Traits(splits="single", cacheable=False, min_batch=1, whole=True)


@named("mini-graph", modality="graph", traits=WHOLE)
class MiniGraph(Learner):
    """InfoNCE of the nodes of two views; each node sees its neighbours."""

    made_with = graph_recipe_of

    def __init__(self, encoder: nn.Module, *, temperature: float = 0.5) -> None:
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.encoder, self.temperature = encoder.layers[0], temperature

    def embed(self, view: Graph, role: str | None = None) -> Tensor:
        h = self.encoder(view.x)
        return h + h.new_zeros(h.shape).index_add(0, view.edges[1], h[view.edges[0]]).tanh()

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        return {role: self.embed(batch.views[role]) for role in "ab"}

    def objective(self, z: dict[str, Tensor], batch: Batch, comm: Collective) -> Step:
        with torch.autocast("cpu", enabled=False):
            a, b = (normalize(z[role], dim=1) for role in "ab")
            logits = a @ b.T / self.temperature
            return Step((logits.logsumexp(1) - logits.diagonal()).mean())


FAULTS: dict[str, tuple[str, ...]] = {}
"""Slug of a faulty copy -> the checks that must see it."""


def fault(*checks: str, **changes: object):
    def add(cls: type) -> type:
        slug = "mini-" + "".join(f"-{c.lower()}" if c.isupper() else c for c in cls.__name__).strip("-")
        FAULTS[slug] = checks
        cls.__doc__ = cls.__doc__ or "Faulty."
        return named(slug, **changes)(cls)

    return add


@fault("processes-agree-with-one")
class Ungathered(Mini):
    def objective(self, z, batch, comm):
        return super().objective(z, batch, Collective())


@fault("processes-agree-with-one")
class GatherWithoutGradient(Mini):
    """Keys have a gradient here, and it stays on the process."""

    def encode(self, batch):
        z = super().encode(batch)
        return {"query": z["query"], "key": self.head(self.encoder(batch.views["b"]))}

    def objective(self, z, batch, comm):
        class Cut(Collective):
            def gather(self, rows: Tensor) -> Tensor:
                return comm.gather(rows).detach() if comm.world > 1 else rows

        return super().objective(z, batch, Cut())


@fault("processes-agree-with-one")
class OwnKeysOnly(Mini):
    """Each process enqueues its own keys."""

    def after_update(self, ctx):
        here = Context(ctx.step, ctx.steps, ctx.epoch, ctx.epochs, Collective(), ctx.carry)
        super().after_update(here)


@fault("order-does-not-matter", "parts-give-the-whole-gradient", "half-precision-is-close")
class ReadsPositions(Mini):
    """The first row weighs more, encode reads how many rows there are, and autocast reaches into the equation."""

    def encode(self, batch):
        z = super().encode(batch)
        return {"query": z["query"] * len(batch), "key": z["key"]}

    def objective(self, z, batch, comm):
        step = super().objective(z, batch, comm)
        extra = (z["query"] @ z["query"].T)[0].float().square().mean() / 100
        return Step(step.loss + extra, step.logs, step.carry)


@fault("memory-changes-after-the-update-alone")
class EarlyQueue(Mini):
    """The queue is written before the loss is taken."""

    def objective(self, z, batch, comm):
        with torch.no_grad():
            self.queue.copy_(torch.cat([normalize(z["key"], dim=1).detach(), self.queue])[: len(self.queue)])
        return super().objective(z, batch, comm)


@fault("everything-is-saved")
class Forgetful(Mini):
    """The queue is not part of the state."""

    def __init__(self, encoder: nn.Module, *, temperature: float = 0.5, momentum: float = 0.9) -> None:
        super().__init__(encoder, temperature=temperature, momentum=momentum)
        self.register_buffer("queue", self.queue, persistent=False)


@fault("an-epoch-begins-alike")
class Dices(Mini):
    """Fills its queue anew every epoch, from the global generator."""

    def on_epoch(self, ctx):
        self.queue.copy_(normalize(torch.randn(8, 4), dim=1))


@fault("memory-is-on-the-card", traits=Traits(splits="gather"))
class Silent(Mini):
    """A memory that the card does not mention."""


@fault("memory-moves")
class Frozen(Mini):
    """A memory that never moves."""

    def after_update(self, ctx):
        pass


@fault("labels-are-ignored", "ids-are-names")
class Peeks(Mini):
    """Reads labels, and computes with identities."""

    def objective(self, z, batch, comm):
        step = super().objective(z, batch, comm)
        told = 0.0 if batch.labels is None else float(batch.labels[0]) + 1.0
        return Step(step.loss * (1 + told) + batch.ids.float().mean() * 1e-3, step.logs, step.carry)


@fault("every-weight-learns")
class Unreached(Mini):
    """A trainable weight that nothing uses, and a group too few."""

    def __init__(self, encoder: nn.Module, *, temperature: float = 0.5, momentum: float = 0.9) -> None:
        super().__init__(encoder, temperature=temperature, momentum=momentum)
        self.spare = nn.Parameter(torch.ones(3))


@fault("every-weight-learns")
class LeftOut(Mini):
    """The head is in no group."""

    def groups(self):
        return {"encoder": list(self.encoder.parameters())}

    def phases(self):
        return (Phase("main", ("encoder",), self.encode, self.objective),)


@fault("identical-rows-are-harmless", "extreme-embeddings-are-harmless", "repeated-samples-are-harmless")
class Divides(Mini):
    """Divides by a spread without a floor, and takes the exponential before the logarithm."""

    def objective(self, z, batch, comm):
        query = z["query"]
        apart = query - query[:1]
        apart = apart * (apart.abs() > 1e-3)  # rounding differs from row to row
        query = apart / apart.abs().mean(0)
        step = super().objective({"query": query, "key": z["key"]}, batch, comm)
        raw = (query * z["key"]).sum(1)
        return Step(step.loss + (raw.exp().mean()).log() / 100, step.logs, step.carry)


@fault("loss-is-a-finite-scalar", "everything-is-saved", "a-seed-decides-everything", "order-does-not-matter")
class Sloppy(Mini):
    """A loss per row in float16, attached logs, and a counter outside of the state."""

    calls = 0

    def objective(self, z, batch, comm):
        step = super().objective(z, batch, comm)
        Sloppy.calls += 1
        return Step(step.loss * (1 + Sloppy.calls), {"loss again": step.loss}, step.carry)


@fault("encoding-touches-nothing-else")
class Meddles(Mini):
    """Draws from Python's generator, changes the batch in place, and switches the encoder's mode."""

    def encode(self, batch):
        out = super().encode(batch)
        random.random()
        batch.views["a"].mul_(0.5)
        self.encoder.eval()
        return out


@fault("a-row-is-embedded-alone")
class MixesRows(Mini):
    """Centres the embeddings of whatever comes together."""

    def embed(self, view, role=None):
        out = self.encoder(view)
        return out - out.mean(0)


@fault("rows-do-not-mix", traits=Traits(splits="gather", row_independent=True, memory=("queue",)))
class SaysIndependent(Mini):
    """Has batch norm, and says that rows are independent."""


@fault("smallest-batch-works", traits=Traits(splits="gather", min_batch=1, memory=("queue",)))
class SaysOne(Mini):
    """Batch norm can't take one row."""


@fault("nodes-have-no-order", modality="graph", traits=WHOLE)
class NumbersNodes(MiniGraph):
    """Weighs nodes by their numbers."""

    def embed(self, view, role=None):
        return super().embed(view) * torch.linspace(1, 2, len(view)).to(view.x)[:, None]


@fault("nodes-have-no-order", modality="graph", traits=WHOLE)
class FollowsEdges(MiniGraph):
    """Reads the order of the edges."""

    def embed(self, view, role=None):
        out = super().embed(view)
        return out + out[view.edges[0, :1]]


@fault("double-stays-double")
class Narrows(Mini):
    """Computes in float32 whatever it gets."""

    def objective(self, z, batch, comm):
        return super().objective({k: v.float() for k, v in z.items()}, batch, comm)


@fault("temperatures-are-positive")
class TakesAnything(Mini):
    """Does not look at its temperature."""

    def __init__(self, encoder: nn.Module, *, temperature: float = 0.5, momentum: float = 0.9) -> None:
        super().__init__(encoder, temperature=abs(temperature) + 1e-3, momentum=momentum)


@fault("settings-have-types", "recipes-come-in-three-sizes", sizes=("tiny",))
class Untyped(Mini):
    """A setting without a type, and one recipe only."""

    def __init__(self, encoder: nn.Module, *, temperature: float = 0.5, momentum=0.9) -> None:
        super().__init__(encoder, temperature=temperature, momentum=momentum)


@fault(
    "card-is-complete",
    "card-reads-as-text",
    "waivers-name-checks",
    "fixture-is-named-plainly",
    paper="a paper that I read",
    pick="",
    name="A | B",
    equation=r"\frac{a}{b",
    oracle="tests/oracles/x.npz",
    waivers=(("no-such-check", "it is not there"), ("memory-moves", "because")),
)
class Scribbled(Mini):
    """Its card can't be used."""


# --- decoders and studies ---------------------------------------------------------------------------------------------

DECODER = {"kind": "decoder", "modality": "text", "traits": Traits()}
STUDY = {"kind": "study", "modality": "text", "traits": Traits()}


@named("mini-decoder", sizes=(), **DECODER)
class MiniDecoder:
    """Takes the likeliest token."""

    needs: tuple[str, ...] = ()
    draws = False
    beams = 1

    def score(self, sources: Sources) -> Tensor:
        return sources.logits["expert"]


@fault(
    "scores-are-of-every-token",
    "small-vocabularies-are-harmless",
    "banned-tokens-never-come",
    sizes=(),
    **DECODER,
)
class Unruly(MiniDecoder):
    """Likes what may not come."""

    def score(self, sources):
        return sources.logits["expert"].nan_to_num(neginf=1e6)


@fault("a-seed-decides-the-text", sizes=(), **DECODER)
class Chancy(MiniDecoder):
    """Rolls dice of its own."""

    def score(self, sources):
        return sources.logits["expert"] + 50 * torch.randn(sources.logits["expert"].shape)


@fault("a-prompt-is-continued-alone", sizes=(), **DECODER)
class Listens(MiniDecoder):
    """Looks at the other sequences of the batch."""

    def score(self, sources):
        return sources.logits["expert"] - 9 * sources.logits["expert"].roll(1, 0).clamp(-30, 30)


@named("mini-study", sizes=(), **STUDY)
class MiniStudy:
    """Width against accuracy."""

    def variations(self, seeds):
        return [Variation("mini", {"batch": b}, seed, "tiny") for b in (8, 16) for seed in seeds]

    def read(self, results):
        held = {b: sorted(m["knn"] for v, m in results if v.settings["batch"] == b) for b in (8, 16)}
        rows = [{"batch": b, "knn": sum(values) / len(values)} for b, values in held.items()]
        return Finding(rows, "batch", ("knn",), "Batches have sizes.")


@fault("variations-can-be-run", sizes=(), **STUDY)
class Unrunnable(MiniStudy):
    """Asks for a setting that is not there."""

    def variations(self, seeds):
        return [Variation("mini", {"bacth": 8}, seed, "tiny") for seed in seeds]


@fault("findings-follow-from-results", sizes=(), **STUDY)
class Hasty(MiniStudy):
    """Says what came first."""

    def read(self, results):
        return Finding([{"batch": 8, "knn": results[0][1]["knn"]}], "batch", ("knn",), "The first.")
