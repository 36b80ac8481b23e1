"""A language model trained by maximum likelihood: the baseline of contrastive ones."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Step
from likewise.core.recipe import Recipe
from likewise.core.registry import recipe, register
from likewise.parts.encoders.gpt import GPT
from likewise.parts.language import LanguageLearner
from likewise.recipes.text import published_text, small_text, tiny_text


@register(
    Card(
        slug="gpt",
        title="Language Models are Unsupervised Multitask Learners",
        name="GPT (likelihood)",
        # the report of GPT-2 has no number of its own; this is the transformer that it trains
        paper="arXiv:1706.03762",
        year=2019,
        modality="text",
        task="a causal language model, for generation",
        contrasts="each next token with the rest of the vocabulary",
        pick="The baseline for text generation, and the cheaper one to train.",
        equation=r"\mathcal{L}_{\mathrm{MLE}} = -\frac{1}{T}\sum_t \log p(x_t \mid x_{<t})",
        traits=Traits(splits="statistics", row_independent=True, min_batch=1),
        oracle="simctg.npz",
        deviations=(
            "Positions are rotary rather than learned, so that texts may grow longer than the windows of training.",
            "The vocabulary is of whole words and characters, learned from the training text, rather than byte pairs.",
        ),
    )
)
class MLE(LanguageLearner):
    r"""GPT by maximum likelihood (Radford et al., 2019).

    .. math:: \mathcal{L} = -\frac{1}{T}\sum_t \log p(x_t \mid x_{<t})

    over all predicted tokens of the batch.

    Args:
        encoder: the model.
    """

    def __init__(self, encoder: GPT) -> None:
        super().__init__(encoder)

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The mean cost of a token."""
        return Step(self.likelihood(z, batch, comm))


@recipe(MLE)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_text(MLE)


@recipe(MLE)
def small() -> Recipe:
    """A minute on one core."""
    return small_text(MLE)


@recipe(MLE)
def paper() -> Recipe:
    """The budget of SimCTG's paper on WikiText-103, for comparison."""
    return published_text(MLE)
