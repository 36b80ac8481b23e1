"""MCL of MajorDavidZhang/MCL: its sampler under recorded permutations, and the groups of its stages."""

import torch
from torch import Tensor

from likewise.data.sampler import group_batches
from likewise.methods.image.mcl_multistage import cross_stage
from likewise.testing.oracle import Answer, Case, equation


@equation("rank*_batches", "rank*_len")
def sampler(case: Case) -> Answer:
    world = case.number("world_size")
    orders = [case.tensor(f"perm_cluster{group}") for group in range(case.number("n_clusters"))]
    steps = group_batches(case.tensor("pseudo_label"), orders, case.number("batch_size"), world)
    found: dict[str, Tensor | float] = {}
    for rank in range(world):
        found[f"rank{rank}_batches"] = steps[:, rank]
        found[f"rank{rank}_len"] = torch.tensor(len(steps))
    return found


@equation("pseudo_as_coded")
def groups(case: Case) -> Answer:
    # the released script adds up the current stage's labels only: l * (K^2 + K + 1) after three stages. The rule of the
    # paper, which is ours, has to tell apart what that does not.
    clusters = case.number("n_clusters")
    first, second, third = stages = case.tensor("stage_cluster_labels")
    groups = torch.zeros_like(first)
    for labels in stages:
        groups = cross_stage(groups, labels, clusters)
    assert torch.equal(groups, first * clusters**2 + second * clusters + third)
    coded = torch.zeros_like(third)
    for _ in stages:
        coded = cross_stage(coded, third, clusters)
    assert len(torch.unique(groups)) > len(torch.unique(coded))
    return {"pseudo_as_coded": coded}
