"""Fixtures of any size for the adapters to run over: each equation again, as loops over samples in float64.

Nothing here calls the library. Sums run over Python lists of scalars; autograd gives the gradients.
"""

import math

import numpy as np
import torch


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def log_sum_exp(values):
    top = max(v.item() for v in values)
    return top + torch.log(sum(torch.exp(v - top) for v in values))


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def unit_rows(z):
    return torch.stack([row / torch.sqrt(dot(row, row)) for row in z])


def nt_xent(a, b, tau):
    rows, n = [*a, *b], len(a)
    out = []
    for i in range(2 * n):
        logits = [dot(rows[i], rows[k]) / tau for k in range(2 * n) if k != i]
        out.append(log_sum_exp(logits) - dot(rows[i], rows[(i + n) % (2 * n)]) / tau)
    return mean(out)


def sup_con(a, b, labels, tau, base, anchors):
    rows, keys, n = [*a, *b], [*labels, *labels], len(a)
    out = []
    for i in range(2 * n if anchors == "all" else n):
        others = [k for k in range(2 * n) if k != i]
        lse = log_sum_exp([dot(rows[i], rows[k]) / tau for k in others])
        positives = [k for k in others if keys[k] == keys[i]]
        out.append(-tau / base * mean(dot(rows[i], rows[j]) / tau - lse for j in positives))
    return mean(out)


def one_way(query, key, tau):
    q, k = unit_rows(query), unit_rows(key)
    return mean(
        log_sum_exp([dot(q[i], k[j]) / tau for j in range(len(k))]) - dot(q[i], k[i]) / tau for i in range(len(q))
    )


def hcl(a, b, tau, tau_plus, beta):
    rows, n = [*a, *b], len(a)
    out = []
    for i in range(2 * n):
        negative = [dot(rows[i], rows[k]) / tau for k in range(2 * n) if k % n != i % n]
        positive = dot(rows[i], rows[(i + n) % (2 * n)]) / tau
        top = max(v.item() for v in [*negative, positive])  # all terms are divided by e^top
        importance = [torch.exp(beta * (s - top)) for s in negative]
        reweighted = sum(w * torch.exp(s - top) for w, s in zip(importance, negative)) / mean(importance)
        repel = (reweighted - tau_plus * len(negative) * torch.exp(positive - top)) / (1 - tau_plus)
        repel = torch.clamp(repel, min=len(negative) * math.exp(-1 / tau - top))
        out.append(torch.log1p(repel / torch.exp(positive - top)))
    return mean(out)


def barlow(a, b):
    n, d = a.shape

    def standard(z):
        columns = []
        for j in range(d):
            mu = mean(z[:, j])
            columns.append([(x - mu) / torch.sqrt(mean((y - mu) ** 2 for y in z[:, j]) + 1e-5) for x in z[:, j]])
        return columns

    p, q = standard(a), standard(b)
    loss = torch.zeros((), dtype=torch.float64)
    for i in range(d):
        for j in range(d):
            c = dot(p[i], q[j]) / n
            loss = loss + ((c - 1) ** 2 if i == j else 0.0051 * c**2)
    return loss


def vicreg(a, b):
    n, d = a.shape

    def terms(z):
        centred = [[x - mean(z[:, j]) for x in z[:, j]] for j in range(d)]
        cov = [[dot(centred[i], centred[j]) / (n - 1) for j in range(d)] for i in range(d)]
        hinge = mean(torch.clamp(1 - torch.sqrt(cov[i][i] + 1e-4), min=0) for i in range(d))
        return hinge, sum(cov[i][j] ** 2 for i in range(d) for j in range(d) if i != j) / d

    (va, ca), (vb, cb) = terms(a), terms(b)
    squares = mean((x - y) ** 2 for x, y in zip(a.flatten(), b.flatten()))
    return 25 * squares + 25 * (va + vb) / 2 + (ca + cb)


def uniform(u, t=2.0):
    n = len(u)
    pairs = [-t * sum((x - y) ** 2 for x, y in zip(u[i], u[j])) for i in range(n) for j in range(i + 1, n)]
    return log_sum_exp(pairs) - math.log(len(pairs))


def decoupled(a, b, tau, sigma):
    n = len(a)
    s = [dot(a[i], b[i]) for i in range(n)]
    log_mean = log_sum_exp([x / sigma for x in s]) - math.log(n) if sigma else None
    weights = [2 - torch.exp(x / sigma - log_mean) if sigma else torch.ones_like(x) for x in s]
    out = []
    for i in range(n):
        logits = [dot(a[i], rows[j]) / tau for rows in (a, b) for j in range(n) if j != i]
        out.append(log_sum_exp(logits) - weights[i] * s[i] / tau)
    return mean(out), torch.stack(weights)


def recorded(name, loss, value="{}_loss", **leaves):
    grads = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    out = {} if value is None else {value.format(name): loss.item()}
    pairs = zip(leaves.items(), grads)
    return out | {f"{name}_grad_{k}": np.zeros(v.shape) if g is None else g.numpy() for (k, v), g in pairs}


def rows(generator, n, d):
    return torch.randn(n, d, generator=generator).double()  # float32 values, as fixtures store them


def leaf(tensor):
    return tensor.detach().clone().requires_grad_()


def dcl_inputs(n, d, tau, sigma, seed, same=False):
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = (unit_rows(rows(generator, n, d)) for _ in range(2))
    return {"z1": z1, "z2": z1.clone() if same else z2, "temperature": tau, "sigma": sigma}


def dcl_numbers(given):
    """What the fixture records for these inputs."""
    out, tau = {}, given["temperature"]
    for name, spread in (("dcl", None), ("dclw", given["sigma"])):
        a, b = leaf(given["z1"]), leaf(given["z2"])
        (there, weights), (back, _) = decoupled(a, b, tau, spread), decoupled(b, a, tau, spread)
        out |= {f"{name}_oneway12": there.item(), f"{name}_oneway21": back.item()}
        out |= recorded(name, there + back, z1=a, z2=b)
    return out | {"dclw_weight": weights.detach()}


def baselines_inputs(
    n, d, tau, seed, labels=None, queue=4, clusters=None, take=None, spare=0, hcl_beta=1.0, tau_plus=0.1
):
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = rows(generator, n, d), rows(generator, n, d)
    assignment = torch.tensor(list(range(n)) if clusters is None else clusters)
    centres = unit_rows(rows(generator, int(assignment.max()) + 1 + spare, d))
    return {
        "z1": z1,
        "z2": z2,
        "u1": unit_rows(z1),
        "u2": unit_rows(z2),
        "labels": torch.tensor(list(range(n)) if labels is None else labels),
        "temperature": tau,
        "queue": unit_rows(rows(generator, queue, d)),
        "hcl_tau_plus": tau_plus,
        "hcl_beta": hcl_beta,
        "vicreg_input_scale": 0.5,
        "pcl_im2cluster": assignment,
        "pcl_centroids": centres,
        "pcl_density": 0.1 + 0.2 * torch.rand(len(centres), generator=generator).double(),
        "pcl_index": torch.tensor(list(range(n)) if take is None else take),
        "pcl_r": 2,
    }


def baselines_numbers(given):
    """What the fixture records for these inputs."""
    tau, beta, tau_plus = (given[k] for k in ("temperature", "hcl_beta", "hcl_tau_plus"))
    z1, z2, scale = given["z1"], given["z2"], given["vicreg_input_scale"]
    labels, out = given["labels"].tolist(), {}
    a, b = leaf(given["u1"]), leaf(given["u2"])
    for name, loss in (
        ("ntxent", nt_xent(a, b, tau)),
        ("supcon", sup_con(a, b, labels, tau, 0.07, "all")),
        ("supcon_one", sup_con(a, b, labels, tau, tau, "one")),
        ("align", mean(sum((x - y) ** 2 for x, y in zip(p, q)) for p, q in zip(a, b))),
        ("hcl_hard", hcl(a, b, tau, tau_plus, beta)),
        ("hcl_easy", hcl(a, b, tau, 0.0, 0.0)),
    ):
        out |= recorded(name, loss, u1=a, u2=b)
    out |= recorded("uniform", uniform(a), u1=a)
    a, b = leaf(z1), leaf(z2)
    out |= recorded("mocov3_oneway", 2 * tau * one_way(a, z2, tau), z1=a)
    out |= recorded("nnclr_oneway", one_way(z1, b, tau), z2=b)
    out |= recorded("barlow", barlow(a, b), z1=a, z2=b)
    out |= recorded("simsiam", -mean(dot(x, y) for x, y in zip(unit_rows(a), unit_rows(z2))), z1=a)
    a, b = leaf(z1 * scale), leaf(z2 * scale)
    out |= recorded("vicreg", vicreg(a, b), z1=a, z2=b)
    return out | moco_and_pcl(given)


def moco_and_pcl(given):
    assignment, centres, density = (given[f"pcl_{k}"] for k in ("im2cluster", "centroids", "density"))
    a, n, tau = leaf(given["z1"]), len(given["pcl_index"]), given["temperature"]
    q, key = unit_rows(a)[:n], unit_rows(given["z2"])
    moco = [[dot(q[i], key[i]) / tau, *(dot(q[i], row) / tau for row in given["queue"])] for i in range(n)]
    mine = [assignment[i].item() for i in given["pcl_index"]]
    columns = mine + [c for c in range(int(assignment.max()) + 1) if c not in mine][: given["pcl_r"]]
    proto = [[dot(q[i], centres[c]) / density[c] for c in columns] for i in range(n)]
    moco_loss = mean(log_sum_exp(row) - row[0] for row in moco)
    proto_loss = mean(log_sum_exp(row) - row[i] for i, row in enumerate(proto))
    return {
        "moco_logits": np.array([[x.item() for x in row] for row in moco]),
        "moco_loss": moco_loss.item(),
        "pcl_proto_logits": np.array([[x.item() for x in row] for row in proto]),
        "pcl_proto_loss": proto_loss.item(),
        **recorded("pcl", moco_loss + proto_loss, None, z1=a),
    }


def write(path, cases):
    np.savez(path, **{f"case{i}_{key}": np.asarray(v) for i, case in enumerate(cases) for key, v in case.items()})
