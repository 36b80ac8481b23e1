"""Single-turn contrast: one question about a picture and its answer at a time, the baseline of MuCo."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.functional import info_nce
from likewise.parts.dialogues import DialogueLearner, PromptDecoder
from likewise.recipes.multimodal import small_dialogues, tiny_dialogues
from likewise.similarity import unit_rows
from likewise.views.dialogues import Turns


@register(
    Card(
        slug="single-turn",
        title="VLM2Vec: Training Vision-Language Models for Massive Multimodal Embedding Tasks",
        name="Single turn",
        paper="arXiv:2410.05160",
        year=2024,
        modality="dialogue",
        task="embeddings of pictures with a question that find its answer",
        contrasts="a question about a picture with its answer, against the answers about other pictures",
        pick="The baseline of muco: for one question and answer about each picture.",
        equation=r"\mathcal{L} = -\frac{1}{N}\sum_i\log\frac{e^{q_i\cdot t_i/\tau}}{\sum_j e^{q_i\cdot t_j/\tau}}",
        traits=Traits(splits="gather", row_independent=True),
        oracle="muco.npz",
        deviations=("The small model and the data of muco; of several turns one is drawn at each step.",),
        status="small",
    )
)
class SingleTurn(DialogueLearner):
    """One-way InfoNCE between the last token's states of a question about a picture and of its answer.

    Args:
        encoder: of sequences.
        temperature: tau.
    """

    def __init__(self, encoder: PromptDecoder, *, temperature: float = 0.02) -> None:
        super().__init__(encoder, temperature=temperature)

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The mean over pictures."""
        query, target = (unit_rows(z[role][:, 0]) for role in ("query", "target"))
        return Step(info_nce(query, target, ids=batch.ids, temperature=self.temperature, comm=comm).mean())


@recipe(SingleTurn)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_dialogues(SingleTurn, views=spec(Turns, turns=1))


@recipe(SingleTurn)
def small() -> Recipe:
    """A minute on two cores: questions about drawn scenes."""
    return small_dialogues(SingleTurn, views=spec(Turns, turns=1))


@recipe(SingleTurn)
def paper() -> Recipe:
    """The paper's batch and rate."""
    return small_dialogues(SingleTurn, views=spec(Turns, turns=1), batch=1024, steps=2000)
