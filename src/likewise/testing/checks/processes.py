"""Two real processes give what one process gives on the joined batch."""

import torch
from torch import Tensor

from likewise.core.card import Card
from likewise.core.comm import Collective
from likewise.core.learner import Step
from likewise.testing.contract import check, learners_only
from likewise.testing.subject import (
    ALONE,
    Outcome,
    Subject,
    close,
    expect,
    find,
    furthest,
    reference,
    same_gradients,
)

WORLD = 2


def _single(card: Card) -> str:
    return learners_only(card) or ("it trains on one device" if card.traits.splits == "single" else "")


def share(comm: Collective, module: str, name: str, file: str, seed: int, n: int) -> dict[str, object]:
    """A rank's part of a step: its rows of the batch, everybody's loss and gradients, and the state afterwards."""
    subject = Subject(find(module, name, file), seed=seed)
    learner = subject.learner(rowwise=True, double=True, comm=comm)
    whole = subject.batch(n, double=True)
    mine = whole.rows(torch.arange(n).chunk(comm.world)[comm.rank])
    outcomes = subject.advance(learner, mine, comm)
    return {
        "losses": [comm.mean(o.step.loss) for o in outcomes],
        "grads": [o.grads for o in outcomes],
        "state": dict(learner.state_dict()),
    }


@check(_single)
def processes_agree_with_one(subject: Subject) -> None:
    """Loss, gradient and memory of two processes equal those of one process on the joined batch."""
    n = subject.size
    where = (*reference(subject.method), subject.seed, n)
    alone = share(ALONE, *where)
    ranks = subject.pool.run(share, *where, world=WORLD)
    for rank, answer in enumerate(ranks):
        what = f"rank {rank} of {WORLD}"
        same_gradients(_outcomes(answer), _outcomes(alone), 1e-6, what)
        state: dict[str, Tensor] = answer["state"]
        for name, expected in _tensors(alone["state"]).items():
            value = state[name]
            same = close(value, expected, 1e-6) if value.is_floating_point() else torch.equal(value, expected)
            expect(same, f"{what}: another {name} after the step: {furthest(value.double(), expected.double())}")


def _outcomes(answer: dict[str, object]) -> list[Outcome]:
    losses, grads = answer["losses"], answer["grads"]
    assert isinstance(losses, list)
    assert isinstance(grads, list)
    return [Outcome({}, Step(loss), held) for loss, held in zip(losses, grads, strict=True)]


def _tensors(value: object) -> dict[str, Tensor]:
    assert isinstance(value, dict)
    return value
