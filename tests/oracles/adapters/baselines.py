"""The common baselines, from the authors' codes; rows u1, u2 come normalised, z1, z2 raw."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from likewise import functional
from likewise.functional import redundancy
from likewise.similarity import row_lse
from likewise.testing.oracle import Answer, Case, equation


@equation("ntxent_*")
def nt_xent(case: Case) -> Answer:
    loss = functional.nt_xent(case.leaf("u1"), case.leaf("u2"), temperature=case.number("temperature"))
    return case.answer("ntxent", loss.mean())


def sup_con(case: Case, **settings: object) -> Tensor:
    views = [case.leaf("u1"), case.leaf("u2")]
    return functional.sup_con(views, case.tensor("labels"), temperature=case.number("temperature"), **settings).mean()


@equation("supcon_loss", "supcon_grad_*")
def sup_con_all(case: Case) -> Answer:
    return case.answer("supcon", sup_con(case, base_temperature=0.07))


@equation("supcon_one_*")
def sup_con_one(case: Case) -> Answer:
    return case.answer("supcon_one", sup_con(case, base_temperature=case.number("temperature"), anchors="one"))


def one_way(case: Case, query: Tensor, key: Tensor, negatives: Tensor | None = None) -> Tensor:
    query, key = normalize(query, dim=1), normalize(key, dim=1)
    return functional.info_nce(query, key, negatives, temperature=case.number("temperature")).mean()


@equation("mocov3_oneway_*")
def moco_v3(case: Case) -> Answer:
    loss = one_way(case, case.leaf("z1"), case.tensor("z2"))
    return case.answer("mocov3_oneway", 2 * case.number("temperature") * loss)


@equation("nnclr_oneway_*")
def nnclr(case: Case) -> Answer:
    return case.answer("nnclr_oneway", one_way(case, case.tensor("z1"), case.leaf("z2")))


@equation("barlow_*")
def barlow_twins(case: Case) -> Answer:
    return case.answer("barlow", redundancy.barlow_twins(case.leaf("z1"), case.leaf("z2"), redundancy=0.0051))


@equation("vicreg_loss", "vicreg_grad_*")
def vicreg(case: Case) -> Answer:
    a, b = (case.leaf(k, case.tensor(k) * case.number("vicreg_input_scale")) for k in ("z1", "z2"))
    return case.answer("vicreg", redundancy.vicreg(a, b, invariance=25.0, variance=25.0, covariance=1.0))


@equation("align_*")
def alignment(case: Case) -> Answer:
    return case.answer("align", functional.alignment(case.leaf("u1"), case.leaf("u2"), alpha=2.0).mean())


@equation("uniform_*")
def uniformity(case: Case) -> Answer:
    return case.answer("uniform", functional.uniformity(case.leaf("u1"), t=2.0))


def hard_negatives(case: Case, tau_plus: float, beta: float) -> Tensor:
    u1, u2 = case.leaf("u1"), case.leaf("u2")
    settings = {"temperature": case.number("temperature"), "tau_plus": tau_plus, "beta": beta}
    return functional.hard_negative_nce(u1, u2, **settings).mean()


@equation("hcl_hard_*")
def hcl_hard(case: Case) -> Answer:
    return case.answer("hcl_hard", hard_negatives(case, case.number("hcl_tau_plus"), case.number("hcl_beta")))


@equation("hcl_easy_*")
def hcl_easy(case: Case) -> Answer:
    return case.answer("hcl_easy", hard_negatives(case, 0.0, 0.0))


@equation("simsiam_*")
def simsiam(case: Case) -> Answer:
    return case.answer("simsiam", redundancy.negative_cosine(case.leaf("z1"), case.tensor("z2")).mean())


def columns(query: Tensor, candidates: Tensor, scale: float) -> Tensor:
    # a logit is the log-sum-exp over a single candidate
    return torch.stack([row_lse(query, c[None], scale=scale) for c in candidates], 1)


def queries(case: Case) -> tuple[Tensor, Tensor]:
    rows = slice(len(case.tensor("pcl_index")) if case.has("pcl_index") else None)
    return case.leaf("z1")[rows], case.tensor("z2")[rows]


@equation("moco_logits", "moco_loss")
def moco(case: Case) -> Answer:
    (query, key), queue = queries(case), case.tensor("queue")
    scale = 1 / case.number("temperature")
    unit = normalize(query, dim=1)
    positive = columns(unit, normalize(key, dim=1), scale).diagonal()[:, None]
    logits = torch.cat([positive, columns(unit, queue, scale)], 1)
    return {"moco_logits": logits, "moco_loss": one_way(case, query, key, queue)}


@equation("pcl_proto_*", "pcl_grad_*")
def pcl(case: Case) -> Answer:
    query, key = queries(case)
    assignment = case.tensor("pcl_im2cluster")
    # the fixture takes the first clusters that no sample of the batch is in, where the authors' code draws some
    mine = assignment[case.tensor("pcl_index")]
    free = [c for c in range(int(assignment.max()) + 1) if c not in mine.tolist()][: case.number("pcl_r")]
    centres, density, negatives = case.tensor("pcl_centroids"), case.tensor("pcl_density"), torch.tensor(free).long()
    unit = normalize(query, dim=1)
    loss = functional.prototype_nce(unit, centres, mine, density, negatives).mean()
    chosen = torch.cat([mine, negatives])
    total = loss + one_way(case, query, key, case.tensor("queue"))
    return {
        "pcl_proto_logits": columns(unit, centres[chosen] / density[chosen, None], 1.0),
        "pcl_proto_loss": loss,
        **case.answer("pcl", total, value=None),
    }
