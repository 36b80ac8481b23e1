"""A training step of facebookresearch/swav on a stand-in for its encoder: codes, loss, gradients, queue."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from likewise.functional import sinkhorn, swapped_prediction
from likewise.parts.memory import Queue
from likewise.testing.oracle import Answer, Case, equation


def codes_of(case: Case, views: list[Tensor], prototypes: Tensor) -> list[Tensor]:
    queue = case.tensor("queue_before") if case.has("queue_before") else None
    settings = {"epsilon": case.number("epsilon"), "iterations": case.number("sinkhorn_iterations")}
    assigned = case.tensor("crops_for_assign").tolist()
    assert assigned == list(range(len(assigned)))  # swapped_prediction wants them first
    return [
        sinkhorn(views[a] @ prototypes.T, None if queue is None else queue[a] @ prototypes.T, **settings)
        for a in assigned
    ]


@equation("codes", "loss", "grad_*")
def swav(case: Case) -> Answer:
    # the code makes its prototypes unit before the step, in float64; they are stored in float32
    prototypes = case.leaf("prototypes", normalize(case.tensor("prototypes"), dim=1))
    rows = case.leaf("embeddings")
    views = list(rows.chunk(case.number("n_crops")))
    with torch.no_grad():
        codes = codes_of(case, views, prototypes)
    loss = swapped_prediction(views, codes, prototypes, temperature=case.number("temperature")).mean()
    return {"codes": torch.stack(codes), **case.answer("", loss, value="loss", grad="grad_{1}")}


@equation("queue_after")
def enqueued(case: Case) -> Answer:
    views, before = case.tensor("embeddings").chunk(case.number("n_crops")), case.tensor("queue_before")
    after = []
    for old, new in zip(before, views):
        held = Queue(*old.shape).double()
        held.rows.copy_(old.flip(0))  # the code's newest row stands first, ours overwrites the oldest
        held.write(new.flip(0))
        after.append(held.read().roll(-len(new), 0).flip(0))
    return {"queue_after": torch.stack(after)}
