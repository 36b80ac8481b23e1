"""Gradient caching: the exact gradient of a large batch with the memory of a small one.

The rows go through the network in chunks twice: once without graph to get all embeddings, on which the objective
gives each embedding's gradient, and once with graph to carry that gradient into the weights. Accumulating the losses
of small batches is not the same: each would see only its own negatives.
Source: Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup", arXiv:2101.06983.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from likewise.core.batch import Batch, join
from likewise.core.learner import Embeddings, Step


def cached_gradients(
    module: nn.Module,
    batch: Batch,
    micro: int,
    *,
    encode: Callable[[Batch], Embeddings],
    objective: Callable[[Embeddings], Step],
    backward: Callable[[Tensor], None],
    reseed: Callable[[int], None],
) -> Step:
    """Leave in ``.grad`` what ``backward(objective(encode(batch)).loss)`` would, ``micro`` rows at a time.

    Args:
        module: what ``encode`` runs; its batch norms update their running statistics once, in the second pass.
        batch: n samples.
        micro: rows per chunk.
        encode: per-row embeddings of a chunk.
        objective: loss of the joined embeddings.
        backward: backward pass of the (scaled) loss.
        reseed: called with the chunk's number before each pass over it, so that both draw the same dropout.
    """
    chunks = list(batch.chunks(micro))
    parts = []
    with torch.no_grad(), _held_statistics(module):
        for number, chunk in enumerate(chunks):
            reseed(number)
            parts.append(encode(chunk))
    z = {name: value.detach().requires_grad_(value.is_floating_point()) for name, value in join(parts).items()}
    reseed(len(chunks))
    out = objective(z)
    backward(out.loss)
    grads = {name: value.grad.split(micro) for name, value in z.items() if value.grad is not None}
    for number, chunk in enumerate(chunks):
        reseed(number)
        again = encode(chunk)
        names = [name for name in grads if again[name].requires_grad]
        torch.autograd.backward([again[n] for n in names], [grads[n][number].to(again[n].dtype) for n in names])
    return Step(out.loss.detach(), out.logs, out.carry)


@contextmanager
def _held_statistics(module: nn.Module) -> Iterator[None]:
    kind = nn.modules.batchnorm._NormBase
    norms = [m for m in module.modules() if isinstance(m, kind) and m.track_running_stats and m.training]
    for norm in norms:
        norm.track_running_stats = False
    held = [(n, n.running_mean, n.running_var) for n in norms]
    for norm in norms:
        # with both absent, training mode normalises by the batch and keeps nothing
        norm.running_mean = norm.running_var = None
    try:
        yield
    finally:
        for norm, mean, var in held:
            norm.running_mean, norm.running_var, norm.track_running_stats = mean, var, True
