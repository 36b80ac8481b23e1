"""MMHCL of Xu107/MMHCL: graphs from interactions and features, propagation, the loss with all gradients, metrics.

The authors' graphs are float32, their model float64: what goes through a graph agrees to float32.
"""

import torch
from torch import Tensor

from likewise.evaluate.ranking import of_hits
from likewise.functional import bpr, half_squares, node_info_nce
from likewise.parts.encoders.propagation import Hypergraph, Interactions, SparseMatrix, neighbourhoods
from likewise.similarity import unit_rows
from likewise.testing.oracle import Answer, Case, equation

FLOAT32 = {"rtol": 1e-6, "atol": 1e-7}
EMBEDDINGS = ("emb_user_ui", "emb_item_ui", "emb_uu", "emb_ii")


def features(case: Case) -> list[Tensor]:
    return [case.tensor(key) for key in sorted(case.keys) if key.startswith("feat")]


def graphs(case: Case) -> tuple[Interactions, Hypergraph, Hypergraph]:
    taken = case.tensor("R")
    users, items = taken.nonzero().T
    by_users = SparseMatrix(users, items, torch.ones(len(users)).double(), tuple(taken.shape))
    by_items = neighbourhoods(features(case), case.number("topk")).double()
    return (
        Interactions(torch.stack([users, items]), *taken.shape, dtype=torch.float64),
        Hypergraph(by_users, loops=False),
        Hypergraph(by_items, loops=True),
    )


@equation("UI_mat", "U2U_mat", "hyper_incidence", "I2I_mat", **FLOAT32)
def matrices(case: Case) -> Answer:
    graph, by_users, by_items = graphs(case)
    users, items = (torch.eye(n).double() for n in graph.matrix.shape)
    zero = [torch.zeros(n, n) for n in graph.matrix.shape]
    rows = torch.cat([zero[0], graph.matrix(items)], 1), torch.cat([graph.matrix(users, transposed=True), zero[1]], 1)
    edges = torch.eye(by_items.incidence.shape[1]).double()
    return {
        "UI_mat": torch.cat(rows),
        "U2U_mat": by_users(users),
        "hyper_incidence": by_items.incidence(edges),
        "I2I_mat": by_items(items),
    }


@equation("out_*", "bpr", "reg", "cl_*", "total", "grad_*", **FLOAT32)
def loss(case: Case) -> Answer:
    graph, by_users, by_items = graphs(case)
    leaves = [case.leaf(key) for key in EMBEDDINGS]
    layers = case.tensor("layers").tolist()
    users, items = graph(leaves[0], leaves[1], layers[0])
    of_users, of_items = by_users(leaves[2], layers[1]), by_items(leaves[3], layers[2])
    # a row of zeros stays one, as in the code
    users, items = users + unit_rows(of_users), items + unit_rows(of_items)
    rows = [users[case.tensor("users")], items[case.tensor("pos")], items[case.tensor("neg")]]
    rank = bpr((rows[0] * rows[1]).sum(1), (rows[0] * rows[2]).sum(1)).mean()
    # the code divides by the size of a full batch, whatever the batch
    size = case.number("regs") * half_squares(*rows).sum() / case.number("batch_size")
    pairs = {"user": (users, of_users), "item": (items, of_items)}
    contrast = {
        role: node_info_nce(unit_rows(a), unit_rows(b), temperature=case.number("tau")).mean()
        for role, (a, b) in pairs.items()
    }
    by_user, by_item = case.tensor("ratios_user_item").tolist()
    total = rank + size + by_user * contrast["user"] + by_item * contrast["item"]
    found = torch.autograd.grad(total, leaves, retain_graph=True)
    return {
        "out_user": users, "out_item": items, "out_uu": of_users, "out_ii": of_items,
        "bpr": rank, "reg": size, "cl_user": contrast["user"], "cl_item": contrast["item"], "total": total,
        **{key.replace("emb", "grad"): grad for key, grad in zip(EMBEDDINGS, found)},
    }  # fmt: skip


@equation("metric_K*")
def metrics(case: Case) -> Answer:
    hits, positives = case.tensor("rank_hits")[None] > 0, torch.tensor([case.number("npos")])
    out = {}
    for key in case.keys:
        if key.startswith("metric_K"):
            values = of_hits(hits, positives, int(key.removeprefix("metric_K")))
            out[key] = torch.cat([values[name] for name in ("precision", "recall", "ndcg_found", "hit")])
    return out
