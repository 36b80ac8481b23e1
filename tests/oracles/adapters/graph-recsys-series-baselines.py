"""Baselines on graphs, recommendations and series, from PyGCL and the authors' codes; h1, h2 are raw projections.

Keys of methods that the library does not have stand in ``UNCHECKED``; a new method takes its own out.
"""

from torch.nn.functional import normalize

from likewise import functional
from likewise.testing.oracle import Answer, Case, equation

UNCHECKED = {
    **dict.fromkeys(("graphcl_*", "dgi_*"), "whole-graph GraphCL and DGI are no methods of the library"),
    **dict.fromkeys(
        ("R", "norm_adj", "user_emb", "item_emb", "n_layers", "users", "pos", "neg", "lightgcn_*", "bpr*", "l2_reg_*"),
        "LightGCN is no method of the library",
    ),
    **dict.fromkeys(("sgl_*", "simgcl_*"), "SGL and SimGCL are no methods of the library"),
    **dict.fromkeys(("ntxent_*", "infonce_inbatch_*", "batch_softmax"), "losses of recommenders that are not here"),
    **dict.fromkeys(("tstcc_*", "tc_*"), "TS-TCC is no method of the library"),
    "ts2vec_*": "TS2Vec is no method of the library",
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
