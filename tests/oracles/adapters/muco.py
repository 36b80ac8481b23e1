"""MuCo of naver-ai/muco: embeddings at the marker tokens, the loss over turns, and the four terms of fine-tuning."""

import torch
from torch import Tensor

from likewise.functional import at_markers, info_nce, reconstruction_nce
from likewise.similarity import unit_rows
from likewise.testing.oracle import Answer, Case, equation


def embeddings(case: Case, side: str) -> Tensor:
    """``(n, k, d)`` of unit length."""
    hidden, ids = case.leaf(f"h_{side}"), case.tensor(f"{side}_ids")
    found = at_markers(hidden, ids, case.number("emb_id"))
    return unit_rows(found.flatten(0, 1)).view_as(found)


@equation("loss", "reps_*", "loss_l*", "grad_*")
def both_stages(case: Case) -> Answer:
    query, target = embeddings(case, "q"), embeddings(case, "t")
    temperature = case.number("temperature")
    if case.number("pretraining"):
        q, t = query.flatten(0, 1), target.flatten(0, 1)
        image = torch.arange(len(query)).repeat_interleave(query.shape[1])
        loss = info_nce(q, t, ids=image, temperature=temperature).mean()
        return {"reps_q": q, "reps_t": t, **case.answer("loss", loss, value="{}", grad="grad_{1}")}
    negative = embeddings(case, "n")[:, 0]
    (q1, q2), (p1, p2) = query.unbind(1), target.unbind(1)
    terms = reconstruction_nce((q1, q2), (p1, p2), negative, temperature=temperature).mean(1)
    reps = {"reps_q": q1, "reps_q2": q2, "reps_t": p1, "reps_t2": p2, "reps_n": negative}
    each = {f"loss_l{i}": term for i, term in enumerate(terms, 1)}
    return {**reps, **each, **case.answer("loss", terms.sum(), value="{}", grad="grad_{1}")}
