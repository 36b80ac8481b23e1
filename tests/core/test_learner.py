import pytest
import torch
from torch import nn

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.decoder import Decoder, Sources
from likewise.core.learner import Context, Encoder, Learner, Step
from likewise.core.study import Finding, Study, Variation


class Plain(Learner):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(3, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)

    def encode(self, batch):
        return {"a": self.encoder(batch.views["a"])}

    def objective(self, z, batch, comm):
        return Step(z["a"].square().mean())


def test_one_phase_moves_everything_that_trains():
    learner = Plain()
    (phase,) = learner.phases()
    assert (phase.name, phase.groups, phase.every) == ("main", ("all",), 1)
    assert [id(p) for p in learner.groups()["all"]] == [id(p) for p in learner.encoder.parameters()]
    batch = Batch({"a": torch.ones(4, 3)}, torch.arange(4))
    step = phase.objective(phase.encode(batch), batch, Collective())
    assert step.loss.requires_grad
    assert (step.logs, step.carry) == ({}, {})


def test_embed_gives_the_encoders_features():
    learner, view = Plain(), torch.randn(5, 3)
    assert torch.equal(learner.embed(view), learner.encoder(view))


def test_the_hooks_do_nothing_by_themselves():
    learner, ctx = Plain(), Context(1, 2, 0, 1.0, Collective())
    before = {k: v.clone() for k, v in learner.state_dict().items()}
    assert learner.on_epoch(ctx) is learner.after_update(ctx) is learner.begin_stage("main", ctx) is None
    assert all(torch.equal(v, before[k]) for k, v in learner.state_dict().items())


def test_what_a_method_must_write_says_so():
    empty = Learner()
    batch = Batch({}, torch.arange(0))
    for call in (
        lambda: empty.encode(batch),
        lambda: empty.objective({}, batch, Collective()),
        lambda: empty.embed(torch.zeros(1)),
    ):
        with pytest.raises(NotImplementedError, match=r"Learner.*abstract"):
            call()


@pytest.mark.parametrize(
    ("step", "steps", "progress"), [(0, 4, 0.0), (1, 4, 0.25), (4, 4, 1.0), (9, 4, 1.0), (0, 0, 0.0)]
)
def test_progress_is_a_share(step, steps, progress):
    assert Context(step, steps, 0, 1.0, Collective()).progress == progress


def test_protocols_know_their_members():
    class Reader:
        needs, draws, beams = ("expert",), False, 1

        def score(self, sources: Sources):
            return sources.logits["expert"]

        def variations(self, seeds):
            return [Variation("simclr", {"temperature": 0.1}, s) for s in seeds]

        def read(self, results):
            return Finding([], "x", ("y",), "nothing")

    assert isinstance(Reader(), Decoder)
    assert isinstance(Reader(), Study)
    assert not isinstance(Plain(), Decoder)
    plain = nn.Linear(2, 3)
    plain.dim = 3
    assert isinstance(plain, Encoder)
    assert not isinstance(nn.Linear(2, 3), Encoder)
