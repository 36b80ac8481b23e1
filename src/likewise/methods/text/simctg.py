"""SimCTG: a language model whose tokens stay apart, so that contrastive search can tell them from each other."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Embeddings, Step
from likewise.core.recipe import Recipe
from likewise.core.registry import recipe, register
from likewise.functional.text import token_contrast
from likewise.parts.encoders.gpt import GPT
from likewise.parts.language import LanguageLearner, tokens
from likewise.recipes.text import published_text, small_text, tiny_text


@register(
    Card(
        slug="simctg",
        title="A Contrastive Framework for Neural Text Generation",
        name="SimCTG",
        paper="arXiv:2202.06417",
        year=2022,
        modality="text",
        task="a causal language model, for generation by contrastive search",
        contrasts="the tokens of a sequence with each other, by the cosine of their last hidden states",
        pick="To train a model whose texts you will decode with contrastive search, or whose hidden states crowd in a "
        "narrow cone.",
        equation=r"\mathcal{L} = \mathcal{L}_{\mathrm{MLE}} + \frac{1}{N}\sum_{i \neq j}"
        r" \max(0, \rho - s(h_i, h_i) + s(h_i, h_j))",
        code="yxuansu/SimCTG (MIT)",
        traits=Traits(splits="statistics", row_independent=True, min_batch=1),
        oracle="simctg.npz",
        claim=Claim(
            says="The contrast between tokens raises isotropy over likelihood alone; perplexity is at most 3 % higher",
            data="king-james",
            metric="isotropy",
            beats="gpt",
            further=(("perplexity", "gpt", 1.03),),
        ),
        deviations=(
            "A batch without pairs of tokens costs 0; the code's ratio of 0 to 0 is not a number.",
            "Padding is known by its mask; the code looks for its number, which a real token may have.",
            "A zero hidden state is similar to nothing; the code divides by its length.",
            "Trained from scratch at small scale; the paper goes on from GPT-2's weights.",
        ),
    )
)
class SimCTG(LanguageLearner):
    r"""SimCTG (Su et al., 2022), equations 2 and 3.

    .. math:: \mathcal{L} = \mathcal{L}_{\mathrm{MLE}} + w \frac{\sum_b \sum_{i \ne j} \max(0, \rho - s_{ii} + s_{ij})}
        {\sum_b n_b (n_b - 1)}

    with s the cosine of two tokens' last hidden states, within each sequence and never across.

    Args:
        encoder: the model.
        margin: rho; 0 penalises nothing.
        weight: w, of the contrast.
        prefix: pairs within the first so many tokens are left out, where a given text is not the model's own.
    """

    def __init__(self, encoder: GPT, *, margin: float = 0.5, weight: float = 1.0, prefix: int = 0) -> None:
        super().__init__(encoder)
        if not 0 <= margin <= 2:
            raise InputError(f"margin={margin}: cosines differ by 0 to 2")
        if weight < 0 or prefix < 0:
            raise InputError(f"weight={weight} and prefix={prefix} must be at least 0")
        self.margin, self.weight, self.prefix = margin, weight, prefix

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """Likelihood and contrast, each a ratio of sums over everybody's batch."""
        likelihood = self.likelihood(z, batch, comm)
        mask = tokens(batch.views["text"]).mask
        penalties, pairs = token_contrast(z["hidden"], mask, margin=self.margin, prefix=self.prefix)
        contrast = comm.sum(penalties.sum()) / comm.sum(pairs.sum()).clamp(min=1)
        logs = {"likelihood": likelihood.detach(), "contrast": contrast.detach()}
        return Step(likelihood + self.weight * contrast, logs)


@recipe(SimCTG)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_text(SimCTG)


@recipe(SimCTG)
def small() -> Recipe:
    """A minute on one core."""
    return small_text(SimCTG)


@recipe(SimCTG)
def paper() -> Recipe:
    """As published on WikiText-103, but from scratch."""
    return published_text(SimCTG)
