"""Losses for one's own training loop: modules over the equations of :mod:`likewise.functional`.

They take raw embeddings and normalise them inside. Every ``forward`` knows

* ``ids (n,)``: identity of each sample, so that a sample that is twice in the batch is not its own negative;
* ``comm``: the other processes; anchors are this process's rows, candidates everybody's, the result is the mean over
  this process's anchors. Average the gradients of parameters over processes.

``similarity`` picks the path of the reductions: ``tiled`` (linear memory), ``dense`` (plain PyTorch, the reference), or
``auto``, which is the surrounding :func:`likewise.similarity.using`, else the faster one. What a loss does with
anchors that lack positives or negatives stands with its equation; none gives a NaN.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from likewise import functional as equations
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.similarity import SINGLE, unit_rows
from likewise.similarity.mode import checked_mode


class Loss(nn.Module):
    """What the losses share: checked settings that print."""

    def __init__(self, similarity: str = "auto", **positive: float) -> None:
        super().__init__()
        self.similarity = checked_mode(similarity)
        for name, value in positive.items():
            if not (value > 0 and math.isfinite(value)):
                raise InputError(f"{type(self).__name__}: {name} must be a number above 0, got {value!r}")
            setattr(self, name, value)

    def extra_repr(self) -> str:
        """Settings by name."""
        return ", ".join(f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_") and k != "training")


class NTXent(Loss):
    """SimCLR's loss of two views, mean over the anchors of both: :func:`likewise.functional.nt_xent`."""

    temperature: float

    def __init__(self, temperature: float = 0.5, *, similarity: str = "auto") -> None:
        super().__init__(similarity, temperature=temperature)

    def forward(self, a: Tensor, b: Tensor, *, ids: Tensor | None = None, comm: Collective = SINGLE) -> Tensor:
        """The loss of two views ``(n, d)`` of the same samples."""
        return equations.nt_xent(
            unit_rows(a), unit_rows(b), temperature=self.temperature, ids=ids, comm=comm, similarity=self.similarity
        ).mean()


class NodeNTXent(Loss):
    """Contrast of a graph's nodes in two views, the mean over nodes: :func:`likewise.functional.node_nt_xent`."""

    temperature: float

    def __init__(self, temperature: float = 0.4, *, similarity: str = "auto") -> None:
        super().__init__(similarity, temperature=temperature)

    def forward(self, a: Tensor, b: Tensor, *, bias: Tensor | None = None) -> Tensor:
        """The loss of two views ``(n, d)`` of the same nodes; ``bias (n,)`` is added to each node's cosines."""
        return equations.node_nt_xent(
            unit_rows(a), unit_rows(b), temperature=self.temperature, bias=bias, similarity=self.similarity
        ).mean()


class DCL(Loss):
    """Decoupled contrastive loss, with ``sigma`` its weighted form DCLW: :func:`likewise.functional.decoupled_nce`.

    The mean over the anchors of both views, which is half of the sum of the two directions that the widely used code
    reports.
    """

    temperature: float

    def __init__(
        self,
        temperature: float = 0.1,
        *,
        sigma: float | None = None,
        detach_weight: bool = True,
        similarity: str = "auto",
    ) -> None:
        super().__init__(similarity, temperature=temperature, **({} if sigma is None else {"sigma": sigma}))
        self.sigma, self.detach_weight = sigma, detach_weight

    def forward(self, a: Tensor, b: Tensor, *, ids: Tensor | None = None, comm: Collective = SINGLE) -> Tensor:
        """The loss of two views ``(n, d)`` of the same samples."""
        return equations.decoupled_nce(
            unit_rows(a),
            unit_rows(b),
            temperature=self.temperature,
            sigma=self.sigma,
            detach_weight=self.detach_weight,
            ids=ids,
            comm=comm,
            similarity=self.similarity,
        ).mean()


class SupCon(Loss):
    """Supervised contrastive loss: :func:`likewise.functional.sup_con`, mean over the anchors.

    Without labels the identities stand in for them, which is NT-Xent for any number of views.
    """

    temperature: float
    base_temperature: float

    def __init__(
        self,
        temperature: float = 0.07,
        *,
        base_temperature: float = 0.07,
        anchors: Literal["all", "one"] = "all",
        similarity: str = "auto",
    ) -> None:
        super().__init__(similarity, temperature=temperature, base_temperature=base_temperature)
        if anchors not in ("all", "one"):
            raise InputError(f"SupCon: anchors is {anchors!r}, but must be 'all' or 'one' (view 0)")
        self.anchors: Literal["all", "one"] = anchors

    def forward(
        self,
        views: Sequence[Tensor] | Tensor,
        labels: Tensor | None = None,
        *,
        ids: Tensor | None = None,
        comm: Collective = SINGLE,
    ) -> Tensor:
        """The loss of views ``[(n, d), ...]``, or ``(n, v, d)``, and their ``labels (n,)``."""
        rows = [unit_rows(v) for v in (views.unbind(1) if isinstance(views, Tensor) else views)]
        if labels is None:
            labels = _numbers(rows[0], comm) if ids is None else ids
        return equations.sup_con(
            rows,
            labels,
            temperature=self.temperature,
            base_temperature=self.base_temperature,
            anchors=self.anchors,
            comm=comm,
            similarity=self.similarity,
        ).mean()


def _numbers(rows: Tensor, comm: Collective) -> Tensor:
    """Running numbers of the rows over all processes, ``(n,)``."""
    sizes = comm.gather(torch.tensor([len(rows)], device=rows.device))
    return torch.arange(len(rows), device=rows.device) + sizes[: comm.rank].sum()


class InfoNCE(Loss):
    """One-way InfoNCE: :func:`likewise.functional.info_nce`, mean over the queries.

    With ``negatives`` (a queue) the denominator is the own positive and the queue (MoCo); without, it is everybody's
    positives (MoCo v3, NNCLR). ``scale_by_temperature`` multiplies by ``2 * temperature`` as MoCo v3's code does.
    """

    temperature: float

    def __init__(
        self, temperature: float = 0.1, *, scale_by_temperature: bool = False, similarity: str = "auto"
    ) -> None:
        super().__init__(similarity, temperature=temperature)
        self.scale_by_temperature = scale_by_temperature

    def forward(
        self,
        query: Tensor,
        positive: Tensor,
        negatives: Tensor | None = None,
        *,
        own_negatives: Tensor | None = None,
        ids: Tensor | None = None,
        negative_ids: Tensor | None = None,
        comm: Collective = SINGLE,
    ) -> Tensor:
        """The loss of queries and positives ``(n, d)``, and a bank ``negatives (k, d)`` with ``negative_ids (k,)``.

        ``own_negatives (n, s, d)`` are further negatives of each query alone.
        """
        loss = equations.info_nce(
            unit_rows(query),
            unit_rows(positive),
            None if negatives is None else unit_rows(negatives),
            temperature=self.temperature,
            own_negatives=None if own_negatives is None else unit_rows(own_negatives),
            ids=ids,
            negative_ids=negative_ids,
            comm=comm,
            similarity=self.similarity,
        ).mean()
        return loss * (2 * self.temperature) if self.scale_by_temperature else loss


class CLIP(Loss):
    """Symmetric cross-modal InfoNCE: :func:`likewise.functional.clip`, mean over the pairs."""

    def forward(
        self,
        image: Tensor,
        text: Tensor,
        scale: Tensor | float,
        *,
        ids: Tensor | None = None,
        comm: Collective = SINGLE,
    ) -> Tensor:
        """The loss of pairs ``(n, d)``; ``scale`` is 1 / temperature, see :class:`LogitScale`."""
        return equations.clip(
            unit_rows(image), unit_rows(text), scale, ids=ids, comm=comm, similarity=self.similarity
        ).mean()


class LogitScale(nn.Module):
    """A learnable scale, stored as its log in a tensor of one element (sharding can't split a scalar).

    Keep it out of weight decay and call :meth:`clamp_` after each update (CLIP: scale at most 100).
    """

    def __init__(self, temperature: float = 0.07, *, max_scale: float = 100.0) -> None:
        super().__init__()
        for name, value in (("temperature", temperature), ("max_scale", max_scale)):
            if not (value > 0 and math.isfinite(value)):
                raise InputError(f"LogitScale: {name} must be a number above 0, got {value!r}")
        self.max_scale = max_scale
        self.log_scale = nn.Parameter(torch.tensor([-math.log(temperature)]))

    def forward(self) -> Tensor:
        """The scale, ``(1,)``."""
        return self.log_scale.exp()

    @torch.no_grad()
    def clamp_(self) -> None:
        """Hold the scale between 1 and ``max_scale``."""
        self.log_scale.clamp_(0.0, math.log(self.max_scale))


class HardNegative(Loss):
    """Hard-negative weighted loss (HCL), debiased for ``beta=0``: :func:`likewise.functional.hard_negative_nce`."""

    temperature: float

    def __init__(
        self, temperature: float = 0.5, *, tau_plus: float = 0.1, beta: float = 1.0, similarity: str = "auto"
    ) -> None:
        super().__init__(similarity, temperature=temperature)
        if not 0 <= tau_plus < 1:
            raise InputError(f"HardNegative: tau_plus is a probability from 0 to below 1, got {tau_plus!r}")
        if not (beta >= 0 and math.isfinite(beta)):
            raise InputError(f"HardNegative: beta must be a number of at least 0, got {beta!r}")
        self.tau_plus, self.beta = tau_plus, beta

    def forward(self, a: Tensor, b: Tensor, *, ids: Tensor | None = None, comm: Collective = SINGLE) -> Tensor:
        """The loss of two views ``(n, d)`` of the same samples, mean over the anchors of both."""
        return equations.hard_negative_nce(
            unit_rows(a),
            unit_rows(b),
            temperature=self.temperature,
            tau_plus=self.tau_plus,
            beta=self.beta,
            ids=ids,
            comm=comm,
            similarity=self.similarity,
        ).mean()


class AlignmentUniformity(Loss):
    """``weights[0] * alignment + weights[1] * mean of the two views' uniformity`` of :mod:`likewise.functional`."""

    t: float
    alpha: float

    def __init__(
        self,
        alpha: float = 2.0,
        t: float = 2.0,
        weights: tuple[float, float] = (1.0, 1.0),
        *,
        similarity: str = "auto",
    ) -> None:
        super().__init__(similarity, alpha=alpha, t=t)
        self.weights = weights

    def forward(self, a: Tensor, b: Tensor, *, ids: Tensor | None = None, comm: Collective = SINGLE) -> Tensor:
        """The loss of two views ``(n, d)`` of the same samples."""
        a, b = unit_rows(a), unit_rows(b)
        spread = sum(
            equations.uniformity(view, t=self.t, unit=True, ids=ids, comm=comm, similarity=self.similarity)
            for view in (a, b)
        )
        return self.weights[0] * equations.alignment(a, b, alpha=self.alpha).mean() + self.weights[1] / 2 * spread


class PrototypeNCE(Loss):
    """PCL's prototype term for one clustering: :func:`likewise.functional.prototype_nce`, mean over the queries.

    Its temperatures are the densities of the clusters. Each process uses its own samples' clusters, as the code does.
    """

    def forward(
        self,
        query: Tensor,
        prototypes: Tensor,
        assignment: Tensor,
        density: Tensor,
        negatives: Tensor | None = None,
        *,
        ids: Tensor | None = None,
        comm: Collective = SINGLE,
    ) -> Tensor:
        """The loss of queries ``(n, d)``.

        Args:
            query: raw embeddings.
            prototypes: ``(k, d)`` cluster centres.
            assignment: ``(n,)`` cluster of each sample.
            density: ``(k,)`` temperature of each cluster, above 0.
            negatives: ``(r,)`` clusters to which no sample of the batch belongs; None takes all of them.
            ids: identity of each sample.
            comm: not needed, the clusters are the same on each process.
        """
        return equations.prototype_nce(
            unit_rows(query), unit_rows(prototypes), assignment, density, negatives, ids=ids, similarity=self.similarity
        ).mean()
