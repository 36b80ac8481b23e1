"""InterCLR of open-mmlab/mmselfsup with recorded draws, in float32."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from likewise.core.draws import Draws
from likewise.functional import info_nce, margin_nce
from likewise.functional.metrics import nearest
from likewise.parts.cluster_memory import ClusterMemory
from likewise.testing.oracle import Answer, Case, equation

SINGLE = {"rtol": 2e-5, "atol": 2e-6}


def memory_of(case: Case) -> ClusterMemory:
    rows, centroids = case.tensor("bank_init_feats"), case.tensor("centroids")
    held = ClusterMemory(*rows.shape, len(centroids), 1).double()
    held.rows.copy_(normalize(rows, dim=1))
    held.labels.copy_(case.tensor("bank_init_labels"))
    held.update_centroids()
    return held


def query(case: Case) -> Tensor:
    return normalize(case.leaf("q"), dim=1)


@equation("bank_feats", "centroids", **SINGLE)
def memory(case: Case) -> Answer:
    held = memory_of(case)
    return {"bank_feats": held.rows, "centroids": held.centroids}


@equation("intra_loss", "grad_q_intra", **SINGLE)
def within(case: Case) -> Answer:
    assert case.number("intra_cos_margin") == 0
    key = normalize(case.tensor("k"), dim=1)
    loss = info_nce(query(case), key, case.tensor("queue").T, temperature=case.number("temperature")).mean()
    return case.answer("intra", loss, grad="grad_{1}_{0}")


@equation("inter_loss", "grad_q_inter", **SINGLE)
def across(case: Case) -> Answer:
    assert case.number("use_arc") == case.number("inter_arc_margin") == 0
    rows, chosen = memory_of(case).rows, case.tensor("neg_idx")
    loss = margin_nce(
        query(case), rows[case.tensor("pos_idx")], rows[chosen], torch.ones_like(chosen, dtype=torch.bool),
        temperature=case.number("temperature"), margin=case.number("inter_cos_margin"),
    ).mean()  # fmt: skip
    return case.answer("inter", loss, grad="grad_{1}_{0}")


@equation("pos_idx", "neg_idx")
def sampled(case: Case) -> Answer:
    """Hard negatives are ours; of what the code drew at random each has to be one that ours may draw (else -1)."""
    held, ids, number = memory_of(case), case.tensor("idx"), case.number("neg_num")
    unit, own, chosen = query(case).detach(), held.labels[ids], case.expected("neg_idx")
    if case.number("neg_sampling") == "hard":
        assert case.number("pool") == 0
        found, there = held.negatives(unit, ids, number, Draws(0, 0, ids), sampling="hard", pool=number)
        assert there.all()
    else:
        pool = nearest(unit, held.rows, case.number("pool"))[1]
        may = (chosen[:, :, None] == pool[:, None]).any(2) & (held.labels[chosen] != own[:, None])
        found = torch.where(may, chosen, -1)
    partner = case.expected("pos_idx")
    return {"pos_idx": torch.where(held.labels[partner] == own, partner, -1), "neg_idx": found}


@equation("after_*", "change_ratio", **SINGLE)
def written(case: Case) -> Answer:
    held = memory_of(case)
    ratio = held.write(case.tensor("idx"), normalize(case.tensor("k"), dim=1), case.number("bank_momentum"))
    held.update_centroids()
    return {
        "after_bank": held.rows, "after_labels": held.labels, "after_centroids": held.centroids, "change_ratio": ratio
    }  # fmt: skip
