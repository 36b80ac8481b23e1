"""CSGCL of HanChen-HUST/CSGCL: strengths, probabilities, and the contrast at several epochs of its ramp."""

import re

from torch import Tensor
from torch.nn.functional import normalize

from likewise import functional
from likewise.functional import communities
from likewise.methods.graph.csgcl import ramp
from likewise.testing.oracle import Answer, Case, equation


def strength(case: Case) -> Tensor:
    return communities.community_strength(case.tensor("edge_index"), case.tensor("community"))


@equation("com_cs")
def of_communities(case: Case) -> Answer:
    return {"com_cs": strength(case)}


@equation("node_cs")  # theirs is float32
def of_nodes(case: Case) -> Answer:
    return {"node_cs": strength(case)[case.tensor("community")]}


def score(case: Case) -> Tensor:
    return communities.edge_score(case.tensor("edge_index"), case.tensor("community"), strength(case))


@equation("edge_weight")
def of_edges(case: Case) -> Answer:
    return {"edge_weight": score(case)}


def numbers(case: Case, name: str) -> list[int]:
    return [int(m[1]) for key in case.keys if (m := re.fullmatch(rf"{name}(\d+)_(?:keep|drop)_prob", key))]


@equation("ced*_keep_prob")
def edges_stay(case: Case) -> Answer:
    return {
        f"ced{j}_keep_prob": communities.keep_probability(
            score(case), case.number(f"ced{j}_p"), most=case.number(f"ced{j}_thr")
        )
        for j in numbers(case, "ced")
    }


def columns_go(case: Case, name: str, dense: bool) -> Answer:
    votes = communities.attribute_votes(case.tensor("x"), case.tensor("node_cs"), dense=dense)
    return {
        f"{name}{j}_drop_prob": communities.drop_probability(
            votes, case.number(f"cav{j}_p"), most=case.number(f"cav{j}_thr")
        )
        for j in numbers(case, name)
    }


@equation("cav[0-9]*_drop_prob", rtol=1e-5, atol=1e-6)  # theirs is computed in float32
def sparse_columns(case: Case) -> Answer:
    return columns_go(case, "cav", dense=False)


@equation("cavdense*_drop_prob", rtol=1e-5, atol=1e-6)
def dense_columns(case: Case) -> Answer:
    return columns_go(case, "cavdense", dense=True)


def contrast(case: Case, bias: Tensor | None) -> Tensor:
    a, b = (normalize(case.leaf(key), dim=1) for key in ("h1", "h2"))
    return functional.node_nt_xent(a, b, temperature=case.number("tau"), bias=bias)


@equation("infonce_*")
def without_team_up(case: Case) -> Answer:
    return case.answer("infonce", contrast(case, None).mean())


@equation("teamup_*")
def team_up(case: Case) -> Answer:
    out: dict[str, Tensor | float] = {}
    for j, epoch in enumerate(case.array("epochs").tolist()):
        gamma = ramp(epoch, start=case.number("t0"), most=case.number("gamma_max"))
        loss = contrast(case, gamma * case.tensor("node_cs"))
        out[f"teamup_vec_ep{j}"] = loss.detach()
        out |= case.answer("teamup", loss.mean(), value=f"{{}}_loss_ep{j}", grad=f"{{}}_grad_{{}}_ep{j}")
    return out
