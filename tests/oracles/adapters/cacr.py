"""CACR of JegZheng/CACR-SSL: rows come unit but for rounding, gradients are those of distances."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from likewise import functional
from likewise.functional.attraction_repulsion import attend_near, positive_weights
from likewise.similarity import Self
from likewise.testing.oracle import Answer, Case, equation


def views(case: Case) -> list[Tensor]:
    return list(case.leaf("z").unbind(0))


def parts(case: Case, name: str, tau_pos: float, tau_neg: float) -> Answer:
    rows = views(case)
    attract = case.number("alpha") * functional.attraction(rows, sharpness=tau_pos).mean()
    repel = case.number("beta") * functional.repulsion(rows, sharpness=tau_neg).mean()
    values = {f"{name}_attraction": attract, f"{name}_repulsion": repel}
    return values | dict(case.answer(name, attract + repel, value=None))


@equation("full_attraction", "full_repulsion", "full_grad_*")
def full(case: Case) -> Answer:
    return parts(case, "full", case.number("tau_pos"), case.number("tau_neg"))


@equation("without_w1_*")
def even_positives(case: Case) -> Answer:
    return parts(case, "without_w1", 0.0, case.number("tau_neg"))


@equation("without_w2_*")
def even_negatives(case: Case) -> Answer:
    return parts(case, "without_w2", case.number("tau_pos"), 0.0)


@equation("none_*")
def even(case: Case) -> Answer:
    return parts(case, "none", 0.0, 0.0)


@equation("full_last_pos_weights")
def positive_shares(case: Case) -> Answer:
    """Of the last view as the query."""
    _, weight = positive_weights(views(case), case.number("tau_pos"))
    return {"full_last_pos_weights": weight[:, -1, :-1]}


@equation("full_last_neg_weights")
def negative_shares(case: Case) -> Answer:
    """Of the last pair of views: what is attended when the values are the samples' names."""
    *_, a, b = (view.detach() for view in views(case))
    names = torch.eye(len(a), dtype=a.dtype)
    _, shares = attend_near(a, b, names, sharpness=case.number("tau_neg"), drop=Self())
    return {"full_last_neg_weights": shares[~names.bool()].view(len(a), -1)}


@equation("debiased_*")
def debiased(case: Case) -> Answer:
    settings = {"sharpness": case.number("tau_neg"), "tau_plus": case.number("tau_plus"), "variant": "code"}
    return {"debiased_repulsion_ascoded": functional.repulsion(views(case), **settings).mean()}


def keyed(case: Case, cost: str) -> Tensor:
    queries = list(normalize(case.leaf("q"), dim=2).unbind(0))
    key = normalize(case.tensor("k"), dim=1)
    return functional.key_attraction_repulsion(queries, key, temperature=case.number("T"), cost=cost)


@equation("moco_rbf_*")
def moco_rbf(case: Case) -> Answer:
    return case.answer("moco_rbf", keyed(case, "rbf").mean())


@equation("moco_euclid_*")
def moco_euclid(case: Case) -> Answer:
    return case.answer("moco_euclid", keyed(case, "euclid").sum())
