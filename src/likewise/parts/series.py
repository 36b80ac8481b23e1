"""What methods for time series share: their base, and the losses of AutoTCL's encoder and augmenter."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from torch import Tensor, nn

from likewise import functional as equations
from likewise.core.batch import Batch, View
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Context, Learner
from likewise.parts.averaging import WeightAverage
from likewise.parts.encoders.dilated import Dilated
from likewise.parts.losses import Loss
from likewise.similarity import SINGLE, unit_rows


def tensors(batch: Batch, *roles: str) -> list[Tensor]:
    """The views of these roles, which are plain tensors."""
    found = [batch.views[role] for role in roles]
    out = [view for view in found if isinstance(view, Tensor)]
    if len(out) < len(found):
        raise TypeError(f"the views {', '.join(roles)} of time series are tensors")
    return out


class SeriesLearner(Learner):
    """Base of methods whose encoder gives features of every time step and is used with the mean of its weights.

    Args:
        encoder: of every time step.
    """

    def __init__(self, encoder: Dilated) -> None:
        super().__init__()
        self.encoder, self.average = encoder, WeightAverage(encoder)

    def after_update(self, ctx: Context) -> None:
        """Take the encoder's new weights into the mean."""
        self.average.update(self.encoder)

    def embed(self, view: View, role: str | None = None) -> Tensor:
        """Features ``(n, dim)`` of series ``(n, t, c)``, the maximum over time, by the mean weights."""
        out: Tensor = self.average(view)
        return out

    @property
    def reach(self) -> int:
        """How many steps back the features of a time step depend on the series."""
        return self.encoder.reach

    def steps(self, view: Tensor) -> Tensor:
        """Features of every time step ``(n, t, dim)``, by the mean weights."""
        return self.average.steps(view)


def start_of(place: Tensor, length: int, segments: int) -> Tensor:
    """Where the segments of each series begin, ``(n,)`` int64, from draws ``place (n,)`` in [0, 1)."""
    free = length - segments * (length // segments) + 1
    return (place * free).long().clamp(max=free - 1)


class GlobalLocal(Loss):
    """Each series finds its view among everybody's, and each of its segments the next one among the others.

    One-way InfoNCE of the max-pooled steps, plus ``local_weight`` times :func:`likewise.functional.local_contrast` of
    the series itself.

    Args:
        temperature: of the first term; the second has the same.
        local_weight: of the second term; 0 leaves it out.
        segments: that a series is cut into.
        similarity: path of the reductions.
    """

    temperature: float

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        local_weight: float = 0.3,
        segments: int = 16,
        similarity: str = "auto",
    ) -> None:
        super().__init__(similarity, temperature=temperature)
        if local_weight < 0:
            raise InputError(f"local_weight={local_weight} must be at least 0")
        if segments < 4:
            raise InputError(f"segments={segments}: a segment needs a negative beside its neighbours, so at least 4")
        self.local_weight, self.segments = local_weight, segments

    def forward(
        self,
        series: Tensor,
        view: Tensor,
        place: Tensor,
        *,
        ids: Tensor | None = None,
        comm: Collective = SINGLE,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the steps of series and view ``(n, t, d)``, and its two terms, detached.

        Args:
            series: of the series.
            view: of its view.
            place: ``(n,)`` in [0, 1), where the segments begin.
            ids: identity of each series.
            comm: the other processes.
        """
        across = self.across(series, view, ids=ids, comm=comm)
        logs = {"global_loss": across.detach()}
        if self.local_weight == 0:
            return across, logs
        start = start_of(place, series.shape[1], self.segments)
        within = equations.local_contrast(series, start, segments=self.segments, temperature=self.temperature).mean()
        return across + self.local_weight * within, {**logs, "local_loss": within.detach()}

    def across(self, series: Tensor, view: Tensor, *, ids: Tensor | None = None, comm: Collective = SINGLE) -> Tensor:
        """The first term alone."""
        query, positive = unit_rows(series.amax(1)), unit_rows(view.amax(1))
        return equations.info_nce(
            query, positive, temperature=self.temperature, ids=ids, comm=comm, similarity=self.similarity
        ).mean()


class ViewLoss(nn.Module):
    """What a learned view of a series pays beside its distance: for what it keeps, and for an unsteady mask.

    Args:
        kept_weight: of keeping more than ``threshold`` of the information.
        threshold: see :func:`likewise.functional.information_kept`.
        consistency_weight: of the mask's consistency over time; 0 leaves it out.
        variant: see :func:`likewise.functional.mask_consistency`.
    """

    def __init__(
        self,
        kept_weight: float = 0.003,
        *,
        threshold: float = 0.4,
        consistency_weight: float = 0.001,
        variant: Literal["paper", "code"] = "paper",
    ) -> None:
        super().__init__()
        for name, value in (("kept_weight", kept_weight), ("consistency_weight", consistency_weight)):
            if value < 0:
                raise InputError(f"{name}={value} must be at least 0")
        self.kept_weight, self.threshold = kept_weight, threshold
        self.consistency_weight, self.variant = consistency_weight, variant

    def forward(self, weight: Tensor, places: Tensor, *, comm: Collective = SINGLE) -> tuple[Tensor, dict[str, Tensor]]:
        """Both terms of the weights ``(n, t, c)`` of everybody's series, and what is worth a curve.

        Args:
            weight: h, how much of each value is kept.
            places: ``(n, 2)`` in [0, 1): two places in each series.
            comm: the other processes.
        """
        weight, places = comm.gather(weight), comm.gather(places)
        logs = {"information": weight.detach().mean()}
        loss = self.kept_weight * equations.information_kept(weight, threshold=self.threshold)
        free = weight.shape[1] - 3  # places with a step on both sides; the code leaves out the last of them, too
        if self.consistency_weight and free > 0:
            first, second = (1 + (places * free).long().clamp(max=free - 1)).unbind(1)
            consistency = equations.mask_consistency(weight, first, second, variant=self.variant)
            loss, logs["consistency"] = loss + self.consistency_weight * consistency, consistency.detach()
        return loss, logs


@contextmanager
def at_rest(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode for a while, with gradients; every module gets its own mode back."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
