"""InfoNCE on series with a fixed augmentation, the baseline of learned ones."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.parts.encoders.dilated import Dilated
from likewise.parts.optimizers import adamw
from likewise.parts.series import GlobalLocal, SeriesLearner, tensors
from likewise.recipes.series import long_series, tiny_series, trends
from likewise.views.series import JitterScaling


@register(
    Card(
        slug="infonce-series",
        title="Data Augmentation of Wearable Sensor Data for Parkinson's Disease Monitoring using Convolutional Neural "
        "Networks",
        name="InfoNCE (series)",
        paper="arXiv:1706.00527",
        year=2017,
        modality="series",
        task="representations of time series, for forecasts and classes",
        contrasts="a series and a copy with noise and rescaled channels, against copies of other series; and each "
        "segment of a series with the next one, against its other segments",
        pick="The baseline of autotcl: the same encoder and loss, with jitter and scaling in place of learned views.",
        equation=r"\mathcal{L} = -\log\frac{e^{\langle z_i, z'_i\rangle/\tau}}"
        r"{\sum_j e^{\langle z_i, z'_j\rangle/\tau}} + \lambda\,\ell_{\mathrm{local}}(z_i),"
        r"\quad v = s\cdot x + \epsilon",
        traits=Traits(splits="gather", row_independent=True, memory=("weight average",)),
        oracle="autotcl.npz",
        deviations=(
            "The paper names the augmentations; the contrast is that of AutoTCL's encoder, so that the two methods "
            "differ in their views alone.",
        ),
        status="adapted",
    )
)
class InfoNCESeries(SeriesLearner):
    r"""AutoTCL's encoder loss with the fixed views of Um et al. (2017): jitter and scaling.

    .. math:: \mathcal{L} = \mathrm{InfoNCE}(z, z') + \lambda\,\ell_{\mathrm{local}}(z)

    Args:
        encoder: of every time step.
        temperature: of both terms.
        local_weight: lambda.
        segments: that a series is cut into by the local term.
    """

    def __init__(
        self, encoder: Dilated, *, temperature: float = 1.0, local_weight: float = 0.3, segments: int = 16
    ) -> None:
        super().__init__(encoder)
        self.loss = GlobalLocal(temperature, local_weight=local_weight, segments=segments)

    def encode(self, batch: Batch) -> Embeddings:
        """Features of every step ``(n, t, dim)`` of the series and of its view."""
        series, view = tensors(batch, "a", "b")
        return {"a": self.encoder.steps(series), "b": self.encoder.steps(view)}

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """Series against views, segments against segments."""
        [place] = tensors(batch, "place")
        loss, logs = self.loss(z["a"], z["b"], place, ids=batch.ids, comm=comm)
        return Step(loss, logs)


@recipe(InfoNCESeries)
def tiny() -> Recipe:
    """For tests: milliseconds a step, waves that are made up."""
    encoder = spec(Dilated, dim=16, hidden=8, depth=2, trends=trends(4))
    return tiny_series(InfoNCESeries, encoder=encoder, views=spec(JitterScaling), segments=5)


@recipe(InfoNCESeries)
def small() -> Recipe:
    """Minutes on two cores: a year of hourly weather, as autotcl's."""
    encoder = spec(Dilated, dim=32, hidden=32, depth=4, trends=trends(16))
    return long_series(InfoNCESeries, encoder=encoder, views=spec(JitterScaling))


@recipe(InfoNCESeries)
def paper() -> Recipe:
    """AutoTCL's setting for the univariate ETTh1, with fixed views."""
    encoder = spec(Dilated, dim=320, hidden=64, depth=10, trends=trends(128))
    return long_series(
        InfoNCESeries,
        encoder=encoder,
        views=spec(JitterScaling, length=257),
        optimizer=spec(adamw, lr=3e-5, weight_decay=0.01),
        section=514,
        stride=257,
        batch=128,
        steps=4000,
    )
