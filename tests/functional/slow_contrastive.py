"""The equations as loops over samples, written from the papers; None where an anchor has no term."""

import math

import torch


def log_sum(values):
    return torch.stack(values).logsumexp(0) if values else None


def stacked(a, b, ids):
    """Rows of both views, who they are, and where the other view stands."""
    n = len(a)
    return torch.cat([a, b]), [*ids, *ids], [(i + n) % (2 * n) for i in range(2 * n)]


def nt_xent(a, b, ids, tau):
    rows, who, partner = stacked(a, b, ids)
    out = []
    for i, p in enumerate(partner):
        others = [k for k in range(len(rows)) if k == p or who[k] != who[i]]
        out.append(log_sum([rows[i] @ rows[k] / tau for k in others]) - rows[i] @ rows[p] / tau)
    return torch.stack(out)


def decoupled(a, b, ids, tau, sigma=None):
    rows, who, partner = stacked(a, b, ids)
    n, weights = len(a), [1.0] * len(a)
    if sigma is not None:
        closeness = [torch.exp(x @ y / sigma) for x, y in zip(a, b)]
        weights = [2 - c / (sum(closeness) / n) for c in closeness]
    out = []
    for i, p in enumerate(partner):
        negatives = [rows[i] @ rows[k] / tau for k in range(2 * n) if who[k] != who[i]]
        attract = weights[i % n] * (rows[i] @ rows[p]) / tau
        out.append(log_sum(negatives) - attract if negatives else 0 * attract)
    return torch.stack(out)


def sup_con(views, labels, tau, base, anchors):
    rows, keys = torch.cat(views), [*labels] * len(views)
    out = []
    for i in range(len(rows) if anchors == "all" else len(views[0])):
        everyone = log_sum([rows[i] @ rows[k] / tau for k in range(len(rows)) if k != i] or [0 * rows[i].sum()])
        positives = [j for j in range(len(rows)) if j != i and keys[j] == keys[i]]
        inner = [rows[i] @ rows[j] / tau - everyone for j in positives]
        out.append(-(tau / base) * sum(inner) / len(inner) if inner else 0 * rows[i].sum())
    return torch.stack(out)


def info_nce(q, k, ids, tau, bank=None, bank_ids=None):
    out = []
    for i in range(len(q)):
        logits = [q[i] @ k[i] / tau]
        if bank is None:
            logits += [q[i] @ k[j] / tau for j in range(len(k)) if ids[j] != ids[i]]
        else:
            logits += [q[i] @ bank[j] / tau for j in range(len(bank)) if bank_ids is None or bank_ids[j] != ids[i]]
        out.append(log_sum(logits) - logits[0])
    return torch.stack(out)


def clip(x, y, ids, scale):
    return (info_nce(x, y, ids, 1 / scale) + info_nce(y, x, ids, 1 / scale)) / 2


def hard_negative(a, b, ids, tau, tau_plus, beta):
    rows, who, partner = stacked(a, b, ids)
    out = []
    for i, p in enumerate(partner):
        negatives = [torch.exp(rows[i] @ rows[k] / tau) for k in range(len(rows)) if who[k] != who[i]]
        positive, count = torch.exp(rows[i] @ rows[p] / tau), len(negatives)
        if not negatives:
            out.append(0 * positive)
            continue
        importance = [x**beta for x in negatives]
        reweighted = sum(w * x for w, x in zip(importance, negatives)) / (sum(importance) / count)
        estimate = (reweighted - tau_plus * count * positive) / (1 - tau_plus)
        # -log(p / (p + g)) without its cancellation
        out.append(torch.log1p(estimate.clamp(min=count * math.exp(-1 / tau)) / positive))
    return torch.stack(out)


def uniformity(rows, ids, t):
    pairs = [(i, j) for i in range(len(rows)) for j in range(i) if ids[i] != ids[j]]
    if not pairs:
        return 0 * rows.sum()
    return log_sum([-t * (rows[i] - rows[j]).square().sum() for i, j in pairs]) - math.log(len(pairs))


def prototype_nce(q, prototypes, assignment, density, negatives, ids):
    out = []
    for i in range(len(q)):
        logits = [
            q[i] @ prototypes[assignment[j]] / density[assignment[j]]
            for j in range(len(q))
            if j == i or ids[j] != ids[i]
        ]
        logits += [q[i] @ prototypes[r] / density[r] for r in negatives]
        out.append(log_sum(logits) - q[i] @ prototypes[assignment[i]] / density[assignment[i]])
    return torch.stack(out)
