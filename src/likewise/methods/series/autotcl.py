"""AutoTCL: a network learns which parts of a series carry its information, and makes the view from them."""

from typing import Literal

from torch import Tensor, nn

from likewise.core.batch import Batch, View
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Embeddings, Phase, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.functional import mmd
from likewise.parts.encoders.dilated import Dilated
from likewise.parts.gates import SeriesAugmenter
from likewise.parts.optimizers import adamw
from likewise.parts.series import GlobalLocal, SeriesLearner, ViewLoss, at_rest, tensors
from likewise.recipes.series import long_series, tiny_series, trends
from likewise.views.series import SeriesAndDraws


@register(
    Card(
        slug="autotcl",
        title="Parametric Augmentation for Time Series Contrastive Learning",
        name="AutoTCL",
        paper="arXiv:2402.10434",
        year=2024,
        modality="series",
        task="representations of time series, for forecasts and classes",
        contrasts="a series and a view of it that a network makes by masking and rescaling, against views of other "
        "series; and each segment of a series with the next one, against its other segments",
        pick="Time series for which nobody knows the right augmentation: it is learned on the way, at about twice the "
        "cost of a step. Where the choice is known, or time is short, take ts2vec.",
        equation=r"\mathcal{L} = -\log\frac{e^{\langle z_i, z'_i\rangle/\tau}}"
        r"{\sum_j e^{\langle z_i, z'_j\rangle/\tau}} + \lambda\,\ell_{\mathrm{local}}(z_i),"
        r"\quad v = g(x)\cdot m(h(x))\cdot x",
        code="AslanDing/AutoTCL (no licence file)",
        traits=Traits(splits="gather", row_independent=True, memory=("weight average",)),
        oracle="autotcl.npz",
        claim=Claim(
            says="Learned views give better forecasts than jitter and scaling, with the same encoder and loss",
            data="greensboro-weather",
            metric="forecast_mse",
            beats="infonce-series",
            seeds=3,
            settings=(("measure.horizons", (24, 48)), ("probe_every", 0.0)),
        ),
        deviations=(
            "The augmenter sees the same representation as the encoder's turn; in the code a misplaced argument leaves "
            "the trend convolutions out there.",
            "The local term is the mean over the batch, each series from a start of its own; the code takes the first "
            "series alone.",
            "The consistency of the mask is measured at two places of each series, near meaning at most one step "
            "apart; the code (variant code) takes everybody's places for every series, and near only on one side.",
            "The encoder's turn comes before the augmenter's in a step; the code begins with the augmenter's. Both "
            "alternate, so that only the first update differs.",
        ),
        status="adapted",
    )
)
class AutoTCL(SeriesLearner):
    r"""AutoTCL (Zheng et al., 2024): an augmenter and an encoder take turns.

    .. math:: v = g(x)\cdot m\cdot x,\quad m \sim \mathrm{HardConcrete}(h(x)),\qquad
        \mathcal{L}_f = \mathrm{InfoNCE}(z, z') + \lambda\,\ell_{\mathrm{local}}(z),\qquad
        \mathcal{L}_{hg} = \mathrm{MMD}(z, z') + \beta\max(0, \bar h - \theta) + \gamma\,\mathrm{Cons}(h)

    with z = f(x), z' = f(v) the features of every time step, max-pooled where whole series are compared. The encoder f
    learns in every step, the networks h and g in every ``every``-th, through an encoder that holds still in evaluation
    mode. What is used afterwards is the mean of all of f's weights. The views ``series-and-draws`` bring the random
    numbers of the mask, so that a sample's view does not depend on its batch.

    Args:
        encoder: f, of every time step.
        augmenter: g and h.
        temperature: of both terms of the encoder's loss.
        local_weight: lambda.
        segments: k, of the local term.
        every: the augmenter learns in one of so many steps.
        kept_weight: beta, of keeping more than theta = 0.4 of the information.
        consistency_weight: gamma.
        goal: of the augmenter: ``mmd`` brings views near to the series, ``adversarial`` makes the encoder's task hard.
        variant: of the mask's consistency; see :func:`likewise.functional.mask_consistency`.
    """

    def __init__(
        self,
        encoder: Dilated,
        augmenter: SeriesAugmenter,
        *,
        temperature: float = 1.0,
        local_weight: float = 0.3,
        segments: int = 16,
        every: int = 1,
        kept_weight: float = 0.003,
        consistency_weight: float = 0.001,
        goal: Literal["mmd", "adversarial"] = "mmd",
        variant: Literal["paper", "code"] = "paper",
    ) -> None:
        super().__init__(encoder)
        if every < 1:
            raise InputError(f"every={every}: the augmenter learns in one of at least 1 steps")
        self.augmenter = augmenter
        self.loss = GlobalLocal(temperature, local_weight=local_weight, segments=segments)
        self.view_loss = ViewLoss(kept_weight, consistency_weight=consistency_weight, variant=variant)
        self.every, self.goal = every, goal

    def phases(self) -> tuple[Phase, ...]:
        """The encoder's turn, then the augmenter's."""
        return (
            Phase("encoder", ("encoder",), self.encode, self.objective),
            Phase("augmenter", ("augmenter",), self.encode_for_augmenter, self.augmenter_objective, self.every),
        )

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """``encoder`` and ``augmenter``, each with its optimiser."""
        return {"encoder": list(self.encoder.parameters()), "augmenter": list(self.augmenter.parameters())}

    def view(self, drawn: Tensor, turn: int) -> tuple[Tensor, Tensor]:
        """The learned view of a series and its weights h, from the series and its draws ``(n, t, 3c)``."""
        series, *uniform = drawn.chunk(3, 2)
        made: tuple[Tensor, Tensor] = self.augmenter(series, uniform[turn])
        return made

    def encode(self, batch: Batch) -> Embeddings:
        """Features of every step ``(n, t, dim)`` of the series and of a view of it."""
        series, drawn = tensors(batch, "a", "b")
        return {"a": self.encoder.steps(series), "b": self.encoder.steps(self.view(drawn, 0)[0])}

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The encoder's loss: series against views, segments against segments."""
        [places] = tensors(batch, "places")
        loss, logs = self.loss(z["a"], z["b"], places[:, 0], ids=batch.ids, comm=comm)
        return Step(loss, logs)

    def encode_for_augmenter(self, batch: Batch) -> Embeddings:
        """The same from an encoder in evaluation mode, with fresh draws, and the weights h ``(n, t, c)``."""
        series, drawn = tensors(batch, "a", "b")
        made, weight = self.view(drawn, 1)
        with at_rest(self.encoder):
            return {"a": self.encoder.steps(series), "b": self.encoder.steps(made), "weight": weight}

    def augmenter_objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The augmenter's loss, logged in parts."""
        [places] = tensors(batch, "places")
        if self.goal == "mmd":
            apart = mmd(comm.gather(z["a"].amax(1)), comm.gather(z["b"].amax(1)))
        else:
            apart = -self.loss.across(z["a"], z["b"], ids=batch.ids, comm=comm)
        loss, logs = self.view_loss(z["weight"], places[:, 1:], comm=comm)
        return Step(apart + loss, {"view_distance": apart.detach(), **logs})

    def embed(self, view: View, role: str | None = None) -> Tensor:
        """Features ``(n, dim)`` of series; in the role ``b``, those of the learned view."""
        return super().embed(self.view(view, 0)[0] if role == "b" and isinstance(view, Tensor) else view)


@recipe(AutoTCL)
def tiny() -> Recipe:
    """For tests: milliseconds a step, waves that are made up."""
    encoder = spec(Dilated, dim=16, hidden=8, depth=2, trends=trends(4))
    augmenter = spec(SeriesAugmenter, dim=8, hidden=8, depth=2)
    return tiny_series(AutoTCL, encoder=encoder, augmenter=augmenter, views=spec(SeriesAndDraws), segments=5)


@recipe(AutoTCL)
def small() -> Recipe:
    """Minutes on two cores: a year of hourly weather."""
    encoder = spec(Dilated, dim=32, hidden=32, depth=4, trends=trends(16))
    augmenter = spec(SeriesAugmenter, dim=32, hidden=32)
    return long_series(AutoTCL, encoder=encoder, augmenter=augmenter, views=spec(SeriesAndDraws))


@recipe(AutoTCL)
def paper() -> Recipe:
    """As the code has it for the univariate ETTh1: 4000 updates, the augmenter 333 times as fast as the encoder."""
    encoder = spec(Dilated, dim=320, hidden=64, depth=10, trends=trends(128))
    return long_series(
        AutoTCL,
        encoder=encoder,
        augmenter=spec(SeriesAugmenter),
        views=spec(SeriesAndDraws, length=257),
        optimizer=spec(adamw, lr=3e-5, weight_decay=0.01, lr_scale=("augmenter=333",)),
        consistency_weight=0.0,
        section=514,
        stride=257,
        batch=128,
        steps=4000,
    )
