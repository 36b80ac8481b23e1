"""DCL and DCLW of raminnakhli/Decoupled-Contrastive-Learning: rows come normalised, gradients flow through weights."""

import torch

from likewise.functional import decoupled_nce
from likewise.testing.oracle import Answer, Case, equation


def both_ways(case: Case, name: str, **weights: object) -> Answer:
    a, b = case.leaf("z1"), case.leaf("z2")
    there, back = decoupled_nce(a, b, temperature=case.number("temperature"), **weights).view(2, -1).mean(1)
    return {f"{name}_oneway12": there, f"{name}_oneway21": back, **case.answer(name, there + back)}


@equation("dcl_*")
def dcl(case: Case) -> Answer:
    return both_ways(case, "dcl")


@equation("dclw_oneway*", "dclw_loss", "dclw_grad_*")
def dclw(case: Case) -> Answer:
    return both_ways(case, "dclw", sigma=case.number("sigma"), detach_weight=False)


@equation("dclw_weight")
def weight(case: Case) -> Answer:
    # the weights stand inside the loss: they are what they do to the pull of each positive
    def pull(**settings: object) -> torch.Tensor:
        a, b = case.leaf("z1"), case.tensor("z2")
        loss = decoupled_nce(a, b, temperature=case.number("temperature"), **settings)[: len(a)].sum()
        return (torch.autograd.grad(loss, a)[0] * b).sum(1) * case.number("temperature") / b.square().sum(1)

    return {"dclw_weight": 1 + pull() - pull(sigma=case.number("sigma"), detach_weight=True)}
