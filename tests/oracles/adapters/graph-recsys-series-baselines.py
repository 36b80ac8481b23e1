"""Baselines on graphs, recommendations and series, from PyGCL and the authors' codes; h1, h2 are raw projections.

Keys of methods that the library does not have stand in ``UNCHECKED``; a new method takes its own out.
"""

import torch
from torch.nn.functional import normalize

from likewise import functional
from likewise.parts.encoders.propagation import Interactions
from likewise.testing.oracle import Answer, Case, equation

UNCHECKED = {
    **dict.fromkeys(("graphcl_*", "dgi_*"), "whole-graph GraphCL and DGI are no methods of the library"),
    **dict.fromkeys(("sgl_*", "simgcl_*"), "SGL and SimGCL are no methods of the library"),
    **dict.fromkeys(("ntxent_*", "infonce_inbatch_*", "batch_softmax"), "losses of recommenders that are not here"),
    **dict.fromkeys(("tstcc_*", "tc_*"), "TS-TCC is no method of the library"),
    "aimclr_*": "AimCLR is no method of the library",
    "curl_*": "CURL is no method of the library",
}


# --- graphs -----------------------------------------------------------------------------------------------------------


def node_contrast(case: Case, name: str, **settings: bool) -> Answer:
    a, b = (normalize(case.leaf(key), dim=1) for key in ("h1", "h2"))
    return case.answer(name, functional.node_nt_xent(a, b, temperature=case.number("tau"), **settings).mean())


@equation("grace_official_*")
def grace(case: Case) -> Answer:
    return node_contrast(case, "grace_official")


@equation("grace_pygcl_*")
def grace_with_self_pairs(case: Case) -> Answer:
    return node_contrast(case, "grace_pygcl", drop_self=False)


# --- recommendations --------------------------------------------------------------------------------------------------


def interactions(case: Case) -> Interactions:
    matrix = case.tensor("R")
    return Interactions(matrix.nonzero().T, *matrix.shape, dtype=torch.float64)


@equation("norm_adj")
def adjacency(case: Case) -> Answer:
    matrix = interactions(case).matrix
    users, items = (torch.eye(n).double() for n in matrix.shape)
    zeros = [torch.zeros(n, n) for n in matrix.shape]
    rows = torch.cat([zeros[0], matrix(items)], 1), torch.cat([matrix(users, transposed=True), zeros[1]], 1)
    return {"norm_adj": torch.cat(rows)}


@equation("lightgcn_*", "bpr*", "l2_reg_over_batch")
def lightgcn(case: Case) -> Answer:
    tables = case.leaf("user_emb"), case.leaf("item_emb")
    users, items = interactions(case)(*tables, case.number("n_layers"))
    who, taken, other = (case.tensor(key) for key in ("users", "pos", "neg"))
    positive, negative = ((users[who] * items[i]).sum(1) for i in (taken, other))
    loss = functional.bpr(positive, negative, floor=1e-5).mean()
    by_user, by_item = torch.autograd.grad(loss, tables, retain_graph=True)
    learned = tables[0][who], tables[1][taken], tables[1][other]
    return {
        "lightgcn_user": users,
        "lightgcn_item": items,
        "bpr": loss,
        "bpr_grad_user": by_user,
        "bpr_grad_item": by_item,
        "l2_reg_over_batch": 1e-4 * functional.table_norms(*learned) / len(who),
    }


# --- time series ------------------------------------------------------------------------------------------------------


def views_of_steps(case: Case) -> list[torch.Tensor]:
    return [case.leaf(f"ts2vec_z{i}") for i in (1, 2)]


@equation("ts2vec_loss", "ts2vec_grad_*")
def ts2vec(case: Case) -> Answer:
    views = views_of_steps(case)
    loss = functional.hierarchical_contrast(*views)
    by_first, by_second = torch.autograd.grad(loss, views)
    return {"ts2vec_loss": loss, "ts2vec_grad_z1": by_first, "ts2vec_grad_z2": by_second}


@equation("ts2vec_loss_unit1")
def ts2vec_without_single_steps(case: Case) -> Answer:
    return {"ts2vec_loss_unit1": functional.hierarchical_contrast(*views_of_steps(case), temporal_unit=1)}
