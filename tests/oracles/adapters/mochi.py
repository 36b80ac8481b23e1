"""MoCHi of davidsvy/hard-negative-mixing: recorded picks and shares, rows made unit by the encoder's end."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from likewise.functional import info_nce, mix_pairs, mix_with_query
from likewise.functional.metrics import nearest
from likewise.parts.memory import Queue
from likewise.testing.oracle import Answer, Case, equation


def inputs(case: Case) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
    """Unit queries and keys, the queue, and whose the rows are; the code's -1 is nobody's."""
    query, key = normalize(case.leaf("q_raw"), dim=1), normalize(case.tensor("k_raw"), dim=1)
    own = {"ids": case.tensor("file_idx"), "negative_ids": case.tensor("queue_file").flatten()}
    return query, key, case.tensor("queue"), own


def mixed(case: Case, query: Tensor, queue: Tensor) -> list[Tensor]:
    hard = queue[case.tensor("hard_idx")]
    first, second = case.tensor("type1_pick")
    out = [mix_pairs(hard, first, second, case.tensor("type1_alpha").squeeze(2))]
    if case.has("type2_pick"):
        share = 0.5 * case.tensor("type2_u").squeeze(2)
        out.append(mix_with_query(query.detach(), hard, case.tensor("type2_pick"), share))
    return out


@equation("loss", "grad_*", "logits")
def mochi(case: Case) -> Answer:
    query, key, queue, own = inputs(case)
    synthetic, scale = torch.cat(mixed(case, query, queue), 1), 1 / case.number("T")
    loss = info_nce(query, key, queue, temperature=case.number("T"), own_negatives=synthetic, **own).mean()
    # the code's order: positive, queue, then the points of both types
    logits = torch.cat(
        [(query * key).sum(1, keepdim=True), query @ queue.T, torch.einsum("nd,nsd->ns", query, synthetic)], 1
    )
    same = own["ids"][:, None] == own["negative_ids"]
    logits[:, 1 : 1 + len(queue)] = logits[:, 1 : 1 + len(queue)].masked_fill(same, -torch.inf)
    wanted = (case.number("s1"), case.number("s2") * case.has("type2_pick"))  # type 2 starts later
    assert sum(wanted) == synthetic.shape[1]
    return {"logits": logits.detach() * scale, **case.answer("", loss, value="loss", grad="grad_{1}")}


@equation("hard_idx")
def hardest(case: Case) -> Answer:
    query, _, queue, own = inputs(case)
    _, found = nearest(query.detach(), queue, case.number("n_hard"), same=(own["ids"], own["negative_ids"]))
    recorded = case.tensor("hard_idx")
    # the code's order among them is unspecified: ours, put into its order
    at = (found[:, :, None] == recorded[:, None, :]).float().argmax(1)
    return {"hard_idx": found.gather(1, at)}


@equation("queue_after")
def enqueued(case: Case) -> Answer:
    _, key, queue, _ = inputs(case)
    held = Queue(*queue.shape).double()
    held.rows.copy_(queue)
    held.write(key)
    return {"queue_after": held.read()}
