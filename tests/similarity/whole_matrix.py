"""The reductions on the whole matrix in float64, written without the library: pairs are judged one by one."""

import torch


def judge(n, m, dropped):
    """``(n, m)`` bool from a function of two positions."""
    return torch.tensor([[bool(dropped(i, j)) for j in range(m)] for i in range(n)], dtype=torch.bool).view(n, m)


def lse(logits, drop, dim):
    """Log-sum-exp over the pairs left; -inf without gradient where none is."""
    logits, drop = (logits, drop) if dim == 1 else (logits.T, drop.T)
    out = []
    for row, gone in zip(logits, drop):
        left = row[~gone]
        left = left[left > -torch.inf]
        out.append(left.logsumexp(0) if len(left) else row.new_tensor(-torch.inf))
    return torch.stack(out) if out else logits.new_zeros(0)


def pulled(outs, inputs, seed=0):
    """Gradients of a fixed random weighting of the finite outputs."""
    generator = torch.Generator().manual_seed(seed)
    total = inputs[0].new_zeros(())
    for out in outs:
        weights = torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out.dtype)
        flat = out if out.dim() == 1 else out.flatten()
        total = total + torch.where(flat > -torch.inf, flat, 0.0) @ weights.flatten()
    if not total.requires_grad:
        return [torch.zeros_like(x) for x in inputs]
    found = torch.autograd.grad(total, inputs, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, inputs)]


def leaves(*tensors):
    return [t.detach().clone().requires_grad_() for t in tensors]


def unit(n, d, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(n, d, generator=generator, dtype=torch.float64), dim=1).to(dtype)
