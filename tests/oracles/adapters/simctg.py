"""SimCTG and contrastive search, from the authors' code: losses, isotropy, ranking, whole continuations, repetition."""

import torch
from torch.nn.functional import linear

from likewise.functional.text import (
    IGNORED,
    contrastive_score,
    n_grams,
    next_token_nll,
    repetition,
    token_contrast,
    token_similarity,
)
from likewise.methods.decoding.contrastive_search import ContrastiveSearch
from likewise.parts.generation import generate
from likewise.testing.oracle import Answer, Case, equation


def mask(case: Case) -> torch.Tensor:
    return case.tensor("input_ids") != case.number("pad_id")


def contrast(case: Case, hidden: torch.Tensor, prefix: int = 0) -> torch.Tensor:
    penalties, pairs = token_contrast(hidden, mask(case), margin=case.number("margin"), prefix=prefix)
    return penalties.sum() / pairs.sum()


@equation("mle", "cl", "grad_hidden", "grad_logits")
def losses(case: Case) -> Answer:
    hidden, logits, labels = case.leaf("hidden"), case.leaf("logits"), case.tensor("labels")
    mle = next_token_nll(logits, labels).sum() / (labels != IGNORED).sum()
    cl = contrast(case, hidden)
    return {"mle": mle.detach(), "cl": cl.detach()} | case.answer("", mle + cl, value=None, grad="grad_{1}")


@equation("cl_prefix")
def prefix(case: Case) -> Answer:
    return {"cl_prefix": contrast(case, case.tensor("hidden"), case.number("prefix_len"))}


@equation("isotropy")
def isotropy(case: Case) -> Answer:
    hidden = case.tensor("hidden")
    sums, pairs = token_similarity(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool))
    return {"isotropy": 1 - sums.sum() / pairs.sum()}


@equation("rank_selected")
def ranking(case: Case) -> Answer:
    context, following, probs = (case.tensor(f"rank_{name}") for name in ("context", "next", "probs"))
    return {"rank_selected": contrastive_score(context, following, probs, alpha=case.number("cs_alpha")).argmax(1)}


class Toy:
    """The fixture's model: the hidden state is a squashed mean of embeddings; the cache is their sum and number."""

    def __init__(self, case: Case) -> None:
        self.embedding, self.weight, self.out = (case.tensor(f"toy_{name}") for name in "EWU")

    def read(self, ids, cache=None):
        before, count = cache if cache is not None else (torch.zeros(len(ids), 1, self.weight.shape[1]).double(), 0)
        sums = before + self.embedding[ids].cumsum(1)
        counts = count + torch.arange(1, ids.shape[1] + 1)
        hidden = torch.tanh(linear(sums / counts[:, None], self.weight))
        return linear(hidden, self.out), hidden, (sums[:, -1:], int(counts[-1]))

    def select(self, cache, index):
        return cache[0][index], cache[1]


@equation("cs_generated")
def whole_search(case: Case) -> Answer:
    start, wanted = case.tensor("cs_prefix"), case.expected("cs_generated")
    decoder = ContrastiveSearch(k=case.number("cs_k"), alpha=case.number("cs_alpha"))
    new = generate(Toy(case), decoder, start, wanted.shape[1] - start.shape[1])
    return {"cs_generated": torch.cat([start, new], 1)}


@equation("rep3_rep4_diversity", "per_text_unique_total_n234")
def repeated(case: Case) -> Answer:
    texts = [str(text).split() for text in case.array("texts")]
    counts = [[n_grams(text, n, variant="code") for n in (2, 3, 4)] for text in texts]
    out: dict = {"per_text_unique_total_n234": torch.tensor(counts)}
    if case.has("rep3_rep4_diversity"):  # rep2_ is read as the name of a case
        found = repetition(texts, variant="code")
        out["rep3_rep4_diversity"] = torch.tensor(list(found.values()), dtype=torch.float64)
    return out
