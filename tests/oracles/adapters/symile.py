"""Symile of rajesh-lab/symile: both samplers of negatives, the scores of retrieval, and pairwise CLIP."""

import itertools

import torch
from torch import Tensor

from likewise.functional import multilinear_nce, multilinear_product, pairwise_clip, product
from likewise.testing.oracle import Answer, Case, equation


def leaves(case: Case) -> tuple[list[Tensor], Tensor]:
    return list(case.leaf("reps")), case.leaf("log_scale").exp()


def logits(anchor: Tensor, others: list[Tensor], columns: list[tuple[int, ...]]) -> Tensor:
    """Every anchor against the products of the named rows of the others."""
    picked = [product([r[i] for r, i in zip(others, column)]) for column in columns]
    return torch.stack([multilinear_product([anchor, c.expand_as(anchor)]) for c in picked], 1)


@equation("n_loss", "n_grad_*", "n_logits_anchor0")
def shuffled(case: Case) -> Answer:
    rows, scale = leaves(case)
    orders = case.tensor("n_perms")
    found = logits(rows[0].detach(), rows[1:], list(zip(*orders[0].tolist())))
    found.diagonal().copy_(multilinear_product(rows))
    loss = multilinear_nce(rows, scale, permutations=orders).mean()
    return {"n_logits_anchor0": found, **case.answer("n", loss)}


def rolled(num: int, others: int) -> list[tuple[int, ...]]:
    """The combinations in the order of the authors' code: the first of the others rolls slowest."""
    if others == 2:
        return [(j, (j - b) % num) for b in range(num) for j in range(num)]
    return [((j - b) % num, *rest) for b in range(num) for j, rest in _numbered(rolled(num, others - 1), num)]


def _numbered(rest: list[tuple[int, ...]], num: int) -> list[tuple[int, tuple[int, ...]]]:
    return [(at % num, one) for at, one in enumerate(rest)]


@equation("n2_loss", "n2_grad_*", "n2_logits_anchor0")
def all_combinations(case: Case) -> Answer:
    rows, scale = leaves(case)
    columns = rolled(rows[0].shape[0], len(rows) - 1)
    assert sorted(columns) == sorted(itertools.product(range(len(rows[0])), repeat=len(rows) - 1))
    loss = multilinear_nce(rows, scale).mean()
    return {"n2_logits_anchor0": logits(rows[0], rows[1:], columns), **case.answer("n2", loss)}


@equation("mip_scores")
def retrieval(case: Case) -> Answer:
    return {"mip_scores": product(list(case.tensor("mip_queries"))) @ case.tensor("mip_candidates").T}


@equation("clip_pairwise_*")
def pairs(case: Case) -> Answer:
    rows, scale = leaves(case)
    return case.answer("clip_pairwise", pairwise_clip(rows, scale.detach()).mean())


@equation("clip_retrieval_logits", rtol=1e-6, atol=1e-6)  # theirs are float32
def pairs_retrieval(case: Case) -> Answer:
    queries, candidates = case.tensor("mip_queries"), case.tensor("mip_candidates")
    # every query's product with the candidates, and of the queries with each other, which ranks nothing
    between = sum(multilinear_product([a, b]) for a, b in itertools.combinations(queries, 2))
    scores = queries.sum(0) @ candidates.T + between[:, None]
    return {"clip_retrieval_logits": case.tensor("log_scale").exp() * scores}
