"""Equations of time series: contrasts over time steps, segments and whole series, and distances of distributions.

Representations are ``(n, t, d)``: a row per series and time step.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from likewise.functional.infonce import nt_xent, partners
from likewise.functional.precision import equation
from likewise.similarity import unit_rows
from likewise.similarity.mode import resolve

IN_ONE_PRODUCT = 2**25
"""Up to so many logits, small contrasts are computed in one batched product; above, one after the other."""


@equation
def grouped_nt_xent(
    a: Float[Tensor, "k m d"], b: Float[Tensor, "k m d"], *, temperature: float = 1.0, similarity: str = "auto"
) -> Float[Tensor, ""]:
    r"""NT-Xent (:func:`likewise.functional.nt_xent`) within each of ``k`` groups of ``m`` pairs, mean over all rows.

    Memory is linear in the number of groups, and linear in ``m`` where the groups are large. Groups of one pair have
    no negatives and cost 0.
    """
    groups, pairs, _ = a.shape
    if pairs < 2:
        return (a.sum() + b.sum()) * 0
    if resolve(similarity) == "tiled" or groups * (2 * pairs) ** 2 > IN_ONE_PRODUCT:
        each = [nt_xent(x, y, temperature=temperature, similarity=similarity).mean() for x, y in zip(a, b)]
        return torch.stack(each).mean()
    rows = torch.cat([a, b], 1)
    own = torch.eye(2 * pairs, dtype=torch.bool, device=a.device)
    logits = (rows @ rows.mT / temperature).masked_fill(own, -torch.inf)
    return F.cross_entropy(logits.flatten(0, 1), partners(pairs, a.device).repeat(groups))


@equation
def hierarchical_contrast(
    a: Float[Tensor, "n t d"],
    b: Float[Tensor, "n t d"],
    *,
    instance: float = 0.5,
    temporal_unit: int = 0,
    similarity: str = "auto",
) -> Float[Tensor, ""]:
    r"""TS2Vec's loss of two views of the same time steps, at every resolution.

    .. math::  \mathcal{L} = \frac1L\sum_{l=0}^{L-1} \alpha\,\mathrm{NTX}_{\mathrm{instance}}(P^l a, P^l b)
               + (1-\alpha)\,\mathrm{NTX}_{\mathrm{time}}(P^l a, P^l b)

    with P max-pooling over pairs of steps, NTX the contrast by dot products without temperature: of the series at
    each time step, and of the time steps of each series. At the last level, a single step, the first alone is left.

    ``instance`` is alpha; the second term joins from level ``temporal_unit`` on. A batch of one series has no first
    term.
    Source: Yue et al., "TS2Vec", arXiv:2106.10466, Eqs. 1-3 and Algorithm 1.
    """
    total, levels = (a.sum() + b.sum()) * 0, 0
    while True:
        steps = a.shape[1]
        if instance > 0:
            of_series = grouped_nt_xent(a.transpose(0, 1), b.transpose(0, 1), similarity=similarity)
            total = total + instance * of_series
        if steps > 1 and instance < 1 and levels >= temporal_unit:
            total = total + (1 - instance) * grouped_nt_xent(a, b, similarity=similarity)
        levels += 1
        if steps == 1:
            return total / levels
        a, b = (F.max_pool1d(z.transpose(1, 2), 2).transpose(1, 2) for z in (a, b))


@equation
def local_contrast(
    steps: Float[Tensor, "n t d"], start: Int[Tensor, " n"], *, segments: int = 16, temperature: float = 1.0
) -> Float[Tensor, " n"]:
    r"""Neighbouring segments of a series are alike, against its other segments; one value per series.

    The steps, of unit length, from ``start`` on are cut into ``segments`` of ``t // segments`` and max-pooled to s:

    .. math::  \ell = \frac1k\sum_a -\log\frac{e^{\langle s_a, s_{p(a)}\rangle/\tau}}
               {e^{\langle s_a, s_{p(a)}\rangle/\tau} + \sum_{j\in N(a)} e^{\langle s_a, s_j\rangle/\tau}}

    with p(a) the next segment (of the last: the one before). N(a) leaves out a and its neighbours, and at both ends
    one more, so that every segment has k - 3 negatives. A series shorter than the number of segments costs 0.
    Source: Zheng et al., "Parametric Augmentation for Time Series Contrastive Learning", arXiv:2402.10434, the local
    loss; the released code has the exact sets.
    """
    n, length, _ = steps.shape
    width = length // segments
    if width == 0:
        return steps.sum((1, 2)) * 0
    unit = unit_rows(steps.flatten(0, 1)).view_as(steps)
    places = start[:, None] + torch.arange(segments * width, device=steps.device)
    cut = unit[torch.arange(n, device=steps.device)[:, None], places]
    pooled = cut.unflatten(1, (segments, width)).amax(2)
    positive, left_out = _neighbours(segments, steps.device)
    logits = (pooled @ pooled.mT / temperature).masked_fill(left_out, -torch.inf)
    target = positive.repeat(n)
    return F.cross_entropy(logits.flatten(0, 1), target, reduction="none").view(n, segments).mean(1)


def _neighbours(segments: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Each segment's positive ``(k,)``, and the pairs that are neither positive nor negative ``(k, k)``."""
    i = torch.arange(segments, device=device)
    positive = torch.where(i < segments - 1, i + 1, i - 1)
    near = (i[:, None] - i).abs() <= 1
    near[0, 2], near[-1, -3] = True, True
    near[i, positive] = False
    return positive, near


@equation
def mmd(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], *, kernels: int = 5, factor: float = 2.0
) -> Float[Tensor, ""]:
    r"""Maximum mean discrepancy of two samples, squared and biased, with a sum of Gaussian kernels.

    .. math::  \overline{K_{aa}} + \overline{K_{bb}} - 2\,\overline{K_{ab}},\qquad
               K(x, y) = \sum_{r=0}^{R-1} e^{-|x-y|^2/(\sigma f^r)}

    with sigma the mean squared distance of two different rows of both samples, over ``factor ** (kernels // 2)``,
    without gradient. Equal rows throughout have discrepancy 0.

    The matrix of distances is held: rows are those of a batch, and sigma needs all of them first.
    Source: Gretton et al., JMLR 13 (2012), with the kernels of Long et al., arXiv:1502.02791.
    """
    rows = torch.cat([a, b])
    size = len(rows)
    # distances don't move with the origin, and keep more digits about the mean
    rounding = torch.finfo(rows.dtype).eps * rows.detach().square().sum(1).mean()
    rows = rows - rows.detach().mean(0)
    square = rows.square().sum(1)
    distance = (square[:, None] + square - 2 * rows @ rows.T).clamp(min=0)
    mean = distance.detach().sum() / (size * size - size)
    sigma = torch.where(mean > 10 * rounding, mean, torch.ones_like(mean)) / factor ** (kernels // 2)
    kernel = torch.stack([torch.exp(-distance / (sigma * factor**r)) for r in range(kernels)]).sum(0)
    n = len(a)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - kernel[:n, n:].mean() - kernel[n:, :n].mean()


@equation
def mask_consistency(
    weight: Float[Tensor, "n t c"],
    first: Int[Tensor, " m"],
    second: Int[Tensor, " m"],
    *,
    variant: Literal["paper", "code"] = "paper",
) -> Float[Tensor, ""]:
    r"""How unlike the weights of neighbouring time steps are, and how alike those of distant ones.

    .. math::  |w_t - w_{t-1}| + |w_t - w_{t+1}| + M|w_t - w_{t'}| + (1 - M)(1 - |w_t - w_{t'}|)

    with t the ``first`` places, t' the ``second``, M = 1 where they are more than a step apart; the mean over series
    and channels. ``first`` lies between 1 and t - 2.

    ``"paper"``: each series has its own two places, ``m = n``. ``"code"``: every series at everybody's places, and
    M = 1 only where t' lies more than a step *after* t.
    Source: Zheng et al., arXiv:2402.10434, the temporal consistency of the mask; AslanDing/AutoTCL, models/losses.py.
    """
    if variant == "paper":
        row = torch.arange(len(weight), device=weight.device)

        def at(places: Tensor) -> Tensor:
            return weight[row, places]

        far = (second - first).abs() > 1
    else:

        def at(places: Tensor) -> Tensor:
            return weight[:, places]

        far = second - first > 1
    here = at(first)
    between = (here - at(second)).abs()
    apart = far.to(weight.dtype)[:, None]
    steps = (here - at(first - 1)).abs() + (here - at(first + 1)).abs()
    return (apart * between + steps + (1 - apart) * (1 - between)).mean()


@equation
def information_kept(weight: Float[Tensor, "n t c"], *, threshold: float = 0.4) -> Float[Tensor, ""]:
    r"""How far the weights of a time step, summed over channels, exceed ``threshold`` on average; 0 below it.

    .. math::  \max\Big(0, \frac1{nt}\sum_{i,t}\sum_c w_{itc} - \theta\Big)

    Source: AslanDing/AutoTCL, models/losses.py; the entropy that a view keeps in arXiv:2402.10434, section 3.
    """
    return (weight.sum(2).mean() - threshold).clamp(min=0)
