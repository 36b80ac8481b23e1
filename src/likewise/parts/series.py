"""What methods for time series share: their views as tensors, and the loss of AutoTCL's encoder."""

from torch import Tensor

from likewise import functional as equations
from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.parts.losses import Loss
from likewise.similarity import SINGLE, unit_rows


def tensors(batch: Batch, *roles: str) -> list[Tensor]:
    """The views of these roles, which are plain tensors."""
    found = [batch.views[role] for role in roles]
    out = [view for view in found if isinstance(view, Tensor)]
    if len(out) < len(found):
        raise TypeError(f"the views {', '.join(roles)} of time series are tensors")
    return out


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
        query, positive = unit_rows(series.amax(1)), unit_rows(view.amax(1))
        across = equations.info_nce(
            query, positive, temperature=self.temperature, ids=ids, comm=comm, similarity=self.similarity
        ).mean()
        logs = {"global_loss": across.detach()}
        if self.local_weight == 0:
            return across, logs
        start = start_of(place, series.shape[1], self.segments)
        within = equations.local_contrast(series, start, segments=self.segments, temperature=self.temperature).mean()
        return across + self.local_weight * within, {**logs, "local_loss": within.detach()}
