"""TS2Vec: the same time step seen in two contexts agrees, at every resolution."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Embeddings, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.functional import hierarchical_contrast
from likewise.parts.encoders.dilated import Dilated
from likewise.parts.series import SeriesLearner, tensors
from likewise.recipes.series import long_series, tiny_series
from likewise.views.series import OverlappingCrops


@register(
    Card(
        slug="ts2vec",
        title="TS2Vec: Towards Universal Representation of Time Series",
        name="TS2Vec",
        paper="arXiv:2106.10466",
        year=2022,
        modality="series",
        task="representations of time series, for forecasts and classes",
        contrasts="a time step in two overlapping crops, against other steps of its series and against other series at "
        "that step, from single steps up to the whole overlap",
        pick="The baseline for time series: nothing about augmentation to decide, and features for every time step.",
        equation=r"\mathcal{L} = \frac{1}{L}\sum_{l=0}^{L-1} \frac12\,\mathrm{NTX}_{\mathrm{series}}(P^l a, P^l b)"
        r" + \frac12\,\mathrm{NTX}_{\mathrm{time}}(P^l a, P^l b)",
        code="zhihanyue/ts2vec (MIT)",
        # a batch shares the lengths of its crops, and processes would each draw their own
        traits=Traits(splits="single", row_independent=True, min_batch=2, memory=("weight average",)),
        oracle="graph-recsys-series-baselines.npz",
        deviations=(
            "Channels are standardised with the training part's mean and deviation for every kind of data; the code "
            "leaves UCR sets with their own scale as they are.",
            "One long series is cut into rows of the recipe's length that may overlap; the code cuts it into pieces "
            "of 3000 steps.",
        ),
    )
)
class TS2Vec(SeriesLearner):
    r"""TS2Vec (Yue et al., 2022): hierarchical contrast (Algorithm 1) of two crops on the steps that they share.

    .. math:: \mathcal{L} = \frac1L\sum_l \alpha\,\mathrm{NTX}_{\mathrm{series}}(P^l a, P^l b)
        + (1 - \alpha)\,\mathrm{NTX}_{\mathrm{time}}(P^l a, P^l b)

    with P max-pooling by two, and dot products without temperature. What is used afterwards is the mean of all
    weights since the first step.

    Args:
        encoder: of every time step.
        instance: alpha, the share of the contrast between series.
        temporal_unit: level from which time steps are contrasted; raise it for long series of slow changes.
    """

    def __init__(self, encoder: Dilated, *, instance: float = 0.5, temporal_unit: int = 0) -> None:
        super().__init__(encoder)
        if not 0 <= instance <= 1:
            raise InputError(f"instance={instance} is a share, from 0 to 1")
        if temporal_unit < 0:
            raise InputError(f"temporal_unit={temporal_unit} must be at least 0")
        self.instance, self.temporal_unit = instance, temporal_unit

    def encode(self, batch: Batch) -> Embeddings:
        """Features of the shared steps, ``(n, t, dim)``, in the context of each crop."""
        a, b, overlap = tensors(batch, "a", "b", "overlap")
        shared = int(overlap[0])
        return {"a": self.encoder.steps(a)[:, -shared:], "b": self.encoder.steps(b)[:, :shared]}

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The hierarchical contrast over the batch."""
        loss = hierarchical_contrast(z["a"], z["b"], instance=self.instance, temporal_unit=self.temporal_unit)
        return Step(loss)


@recipe(TS2Vec)
def tiny() -> Recipe:
    """For tests: milliseconds a step, waves that are made up."""
    return tiny_series(TS2Vec, encoder=spec(Dilated, dim=16, hidden=8, depth=2, mask=0.5), views=spec(OverlappingCrops))


@recipe(TS2Vec)
def small() -> Recipe:
    """Minutes on two cores: a year of hourly weather."""
    encoder = spec(Dilated, dim=64, hidden=32, depth=6, mask=0.5)
    return long_series(TS2Vec, encoder=encoder, views=spec(OverlappingCrops))


@recipe(TS2Vec)
def paper() -> Recipe:
    """As published, for a long series: width 320, batch 8, learning rate 0.001, 600 updates."""
    encoder = spec(Dilated, dim=320, hidden=64, depth=10, mask=0.5)
    return long_series(TS2Vec, encoder=encoder, views=spec(OverlappingCrops), section=3000, batch=8, steps=600)
