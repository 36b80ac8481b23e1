"""Data that are no pile of pictures: a graph as one batch, things that rows refer to, measures and readers."""

from pathlib import Path

import pytest
import torch
from torch import nn

from likewise.api import Run
from likewise.core.batch import Graph
from likewise.core.card import Card, Traits
from likewise.core.errors import InputError
from likewise.core.learner import Learner, Step
from likewise.core.recipe import FROM_DATA, Recipe, part, spec
from likewise.core.registry import load, recipe, register
from likewise.data import readers
from likewise.data.dataset import Dataset
from likewise.data.resolve import from_object, resolve
from likewise.evaluate.measure import Measure
from likewise.parts.optimizers import adam
from likewise.parts.schedules import cosine
from likewise.train.plan import prepare
from likewise.train.run import train


def ring_of(num=12):
    """A ring of nodes with random features; two tables that say who is who."""
    torch.manual_seed(0)
    i = torch.arange(num)
    edges = torch.stack([torch.cat([i, (i + 1) % num]), torch.cat([(i + 1) % num, i])])
    graph = Graph(torch.randn(num, 5), edges)
    keys = [f"node {k}" for k in range(num)]
    group = Dataset("groups", {"group": torch.arange(3)}, ["x", "y", "z"], torch.zeros(3, dtype=torch.bool))
    return Dataset(
        "ring", {"graph": graph}, keys, torch.zeros(num, dtype=torch.bool), known={"num_groups": 3},
        shared={"strength": torch.arange(float(num))}, tables={"group": group},
    )  # fmt: skip


@part("data", "a-ring")
def a_ring(num: int = 12) -> Dataset:
    """For these tests."""
    return ring_of(num)


@part("views", "as-it-is")
class AsItIs(nn.Module):
    """The graph, twice."""

    def attach(self, shared):
        self.seen = shared

    def forward(self, columns, draws):
        return {"a": columns["graph"], "b": columns["graph"]}

    def plain(self, columns):
        return dict(columns)


@part("measure", "largest-strength")
class LargestStrength(Measure):
    """Of the attached values, and how often it was asked."""

    untrained = ("std",)

    @property
    def names(self):
        return ("std", "seconds")

    def measured(self, asked):
        return {"std": float(asked.learner.strength.max()), "seconds": 1.0}

    def probe(self, learner, views, dataset, *, rows, seed):
        return {"std": float(len(dataset))}


@register(
    Card(
        slug="on-a-ring", title="t", name="Ring", paper="p", year=2026, modality="graph", task="t", contrasts="c",
        pick="p", equation="x", traits=Traits(splits="single", cacheable=False),
    )
)  # fmt: skip
class OnARing(Learner):
    """Pulls neighbours together."""

    def __init__(self, num_features: int, num_groups: int) -> None:
        super().__init__()
        self.lin, self.groups_of = nn.Linear(num_features, 4), nn.Embedding(num_groups, 4)

    def attach(self, shared):
        self.register_buffer("strength", shared["strength"], persistent=False)

    def encode(self, batch):
        return {role: self.lin(batch.views[role].x) for role in ("a", "b")}

    def objective(self, z, batch, comm):
        i, j = batch.views["a"].edges
        return Step((z["a"][i] - z["b"][j]).square().mean() + self.groups_of.weight.square().mean())

    def embed(self, view, role=None):
        return self.lin(view.x) if isinstance(view, Graph) else self.groups_of(view)


@recipe(OnARing)
def tiny() -> Recipe:
    return Recipe(
        spec(OnARing, num_features=FROM_DATA, num_groups=FROM_DATA), data=spec(a_ring), views=spec(AsItIs),
        optimizer=spec(adam, lr=0.01), schedule=spec(cosine), batch=4, steps=3, measure=spec(LargestStrength),
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ring") / "run"
    train(prepare(load("on-a-ring"), size="tiny"), folder, quiet=True)
    return Run(folder)


def test_every_batch_is_the_whole_graph(run):
    assert run.plan.recipe.batch == 12
    assert run.plan.facts["steps_per_epoch"] == 1
    assert (run.plan.facts["num_nodes"], run.plan.facts["num_features"]) == (12, 5)


def test_a_recipe_says_what_is_measured(run):
    assert run.metrics["std"] == 11.0
    assert run.metrics["untrained"] == {"std": 11.0}
    assert run.evaluate(what=["seconds"]) == {"seconds": 1.0}
    with pytest.raises(InputError, match="unknown metric 'secs'; did you mean 'seconds'"):
        run.evaluate(what=["secs"])
    assert [e["std"] for e in run.events() if e["event"] == "probe"] == [12.0] * 4


def test_what_is_attached_is_not_saved(run):
    assert "strength" not in run.learner.state_dict()
    assert run.learner.strength.tolist() == list(range(12))
    assert "strength" in run.views.seen


def test_things_that_rows_refer_to_are_embedded_and_searched_by_role(run):
    assert run.embed().shape == (3, 4)  # the first table is what people want
    assert run.dataset(role="group").keys == ["x", "y", "z"]
    hits = run.search("x", k=2)
    assert {hit.key for hit in hits} == {"y", "z"}
    with pytest.raises(InputError, match="no 'grup'; did you mean 'group'"):
        run.embed(role="grup")
    with pytest.raises(InputError, match="no item of that name"):
        run.search("w")


def test_nodes_of_a_graph_are_not_taken_apart():
    data = ring_of()
    assert data.take(torch.arange(12))["graph"] is data.columns["graph"]
    with pytest.raises(InputError, match="can't be taken apart"):
        data.take(torch.arange(5))


def test_the_modality_chooses_the_reader(tmp_path, monkeypatch):
    @part("data", "lines-of-numbers")
    def lines(path: str) -> Dataset:
        rows = torch.tensor([[float(v) for v in line.split()] for line in Path(path).read_text().splitlines()])
        return Dataset("lines", {"series": rows}, list(map(str, range(len(rows)))), torch.zeros(len(rows)) > 0)

    def from_list(data):
        raise InputError(f"{type(data).__name__} is no list of numbers")

    monkeypatch.setitem(readers.READERS, "numbers", readers.Reader("numbers", "a file of numbers", lines, from_list))
    file = tmp_path / "a.txt"
    file.write_text("1 2\n3 4\n")
    assert resolve(str(file), "numbers").build().columns["series"].tolist() == [[1, 2], [3, 4]]
    assert len(from_object(str(file), modality="numbers")) == 2
    with pytest.raises(InputError, match="dict is no list of numbers"):
        from_object({}, modality="numbers")
    with pytest.raises(InputError, match=r"no such file.*of your own: a file of numbers"):
        resolve(str(tmp_path / "there" / "b.txt"), "numbers")
    with pytest.raises(InputError, match="no reader for data of the modality 'smells'"):
        resolve(str(file), "smells")
