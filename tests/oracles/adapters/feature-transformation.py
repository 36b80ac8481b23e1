"""The memory of DTennant/CL-Visualizing-Feature-Transformation with recorded draws, in float32."""

import torch
from torch import Tensor

from likewise.functional import extrapolate, info_nce, interpolate, score_statistics
from likewise.parts.memory import Queue
from likewise.testing.oracle import Answer, Case, equation

UNCHECKED = {
    "pos_alpha": "the draws themselves are recorded",
    "neg_alpha": "the draws themselves are recorded",
}
SINGLE = {"rtol": 2e-5, "atol": 2e-6}


def share(case: Case, key: str) -> Tensor:
    drawn = case.tensor(key)
    return drawn.reshape(1, 1) if drawn.ndim == 0 else drawn


def transformed(case: Case, query: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    assert case.number("extrapolate") == 1
    moved = extrapolate(query, case.tensor("k"), share(case, "beta_pos_before_plus1") + 1)
    return *moved, interpolate(case.tensor("queue"), case.tensor("neg_perm"), share(case, "beta_neg"))


def logits(query: Tensor, key: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    return torch.cat([(query * key).sum(1, keepdim=True), query @ negatives.T], 1).detach() / temperature


def score(query: Tensor, key: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    held = score_statistics(query.detach(), key.detach(), negatives, temperature=temperature)
    columns = [held[name] for name in ("negative_score", "negative_variance", "positive_score")]
    exponents = [held[name] / temperature for name in ("negative_soft_maximum", "positive_score")]
    return torch.stack([*columns, *(e.exp() for e in exponents)], 1)


@equation("logits", "loss", "grad_q", **SINGLE)
def transformation(case: Case) -> Answer:
    temperature = case.number("T")
    features = transformed(case, case.leaf("q"))
    loss = info_nce(*features, temperature=temperature).mean()
    answer = case.answer("", loss, value="loss", grad="grad_{1}")
    return {"logits": logits(*features, temperature), **answer}


@equation("plain_logits", **SINGLE)
def plain(case: Case) -> Answer:
    held = case.tensor("q"), case.tensor("k"), case.tensor("queue")
    return {"plain_logits": logits(*held, case.number("T"))}


@equation("score", "plain_score", rtol=1e-3, atol=1e-4)  # through half precision
def scores(case: Case) -> Answer:
    query, temperature = case.tensor("q"), case.number("T")
    return {
        "score": score(*transformed(case, query), temperature),
        "plain_score": score(query, case.tensor("k"), case.tensor("queue"), temperature),
    }


@equation("queue_after", "queue_ptr_after")
def enqueued(case: Case) -> Answer:
    before, key = case.tensor("queue"), case.tensor("k")
    held = Queue(*before.shape).double()
    held.rows.copy_(before)
    held.written.fill_(case.number("queue_ptr"))
    held.write(key)
    return {"queue_after": held.read(), "queue_ptr_after": float(held.written % len(before))}
