"""MuCo: many questions about a picture in one sequence, each with an embedding and an answer of its own."""

import torch

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Step
from likewise.core.recipe import Recipe, Stage, spec
from likewise.core.registry import recipe, register
from likewise.functional import info_nce, reconstruction_nce
from likewise.parts.dialogues import DialogueLearner, PromptDecoder
from likewise.parts.optimizers import adamw
from likewise.recipes.multimodal import small_dialogues, tiny_dialogues
from likewise.similarity import unit_rows
from likewise.views.dialogues import Reconstruction


@register(
    Card(
        slug="muco",
        title="MuCo: Multi-turn Contrastive Learning for Multimodal Embedding Model",
        name="MuCo",
        paper="arXiv:2602.06393",
        year=2026,
        modality="dialogue",
        task="embeddings of pictures with questions that find their answers",
        contrasts="each turn's question about a picture with its answer, against the answers of all turns of other "
        "pictures",
        pick="For several questions and answers about each picture: a picture goes through the network once for all.",
        equation=r"\mathcal{L} = -\frac{1}{NK}\sum_{i,k}\log\frac{e^{q_{ik}\cdot t_{ik}/\tau}}"
        r"{e^{q_{ik}\cdot t_{ik}/\tau} + \sum_{j\neq i}\sum_l e^{q_{ik}\cdot t_{jl}/\tau}}",
        code="naver-ai/muco (Apache-2.0)",
        traits=Traits(splits="gather", row_independent=True),
        oracle="muco.npz",
        claim=Claim(
            says="With as many pictures through the network, all turns in one sequence find more answers than one "
            "random turn at a time.",
            data="drawn-scenes",
            metric="turn_recall_1",
            beats="single-turn",
        ),
        deviations=(
            "A decoder of two blocks that starts from nothing stands for Qwen2-VL of 2 to 7 billion weights, so that "
            "all of it is trained, without LoRA; words are hashed, without a tokenizer.",
            "Turns are as many as the data have, 4 of drawn scenes, where the released code has 7.",
            "The hard negative of the second stage is the answer to another question about the picture, where the "
            "paper's come with its data sets.",
        ),
        status="small",
    )
)
class MuCo(DialogueLearner):
    r"""MuCo: InfoNCE over turns, other turns of the same picture being neither positives nor negatives.

    Views with a ``negative`` (:class:`likewise.views.dialogues.Reconstruction`, the second stage) get the four terms
    of :func:`likewise.functional.reconstruction_nce` instead.

    Args:
        encoder: of sequences.
        temperature: tau.
        group_mask: leave out other turns of the same picture; without, they are negatives.
    """

    def __init__(self, encoder: PromptDecoder, *, temperature: float = 0.02, group_mask: bool = True) -> None:
        super().__init__(encoder, temperature=temperature)
        self.group_mask = group_mask

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The mean over turns; in the second stage the sum of the four terms."""
        query, target = ([unit_rows(turn) for turn in z[role].unbind(1)] for role in ("query", "target"))
        if "negative" in z:
            (q1, q2), (p1, p2), negative = query, target, unit_rows(z["negative"][:, 0])
            terms = reconstruction_nce((q1, q2), (p1, p2), negative, temperature=self.temperature, comm=comm)
            return Step(terms.mean(1).sum())
        ids = batch.ids.repeat(len(query)) if self.group_mask else None
        return Step(
            info_nce(torch.cat(query), torch.cat(target), ids=ids, temperature=self.temperature, comm=comm).mean()
        )


@recipe(MuCo)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_dialogues(MuCo)


@recipe(MuCo)
def small() -> Recipe:
    """A minute on two cores: the first stage, on drawn scenes."""
    return small_dialogues(MuCo)


@recipe(MuCo)
def paper() -> Recipe:
    """Both stages, at the paper's rate: 5e-5, constant after a warm-up."""
    stages = (Stage("turns"), Stage("reconstruction", (("views", spec(Reconstruction)),)))
    return small_dialogues(MuCo, optimizer=spec(adamw, lr=5e-5, weight_decay=0.0), stages=stages, batch=256, steps=2000)
