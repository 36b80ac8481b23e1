"""MoCo v2: a crop finds its momentum key among a queue of past keys."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Encoder, Step
from likewise.core.recipe import Recipe
from likewise.core.registry import recipe, register
from likewise.parts.momentum_contrast import MomentumContrast
from likewise.recipes.image import imagenet_moco, small_moco, tiny_moco


@register(
    Card(
        slug="moco-v2",
        title="Improved Baselines with Momentum Contrastive Learning",
        name="MoCo v2",
        paper="arXiv:2003.04297",
        year=2020,
        modality="image",
        task="representation learning without labels",
        contrasts="a crop with the momentum encoder's key of another crop, against a queue of keys of earlier images",
        pick="Many negatives at an ordinary batch and little memory. Keep the queue shorter than the data set.",
        equation=r"\mathcal{L} = -\frac1B\sum_i\log\frac{e^{q_i\cdot k_i/\tau}}"
        r"{e^{q_i\cdot k_i/\tau} + \sum_{j=1}^{K} e^{q_i\cdot n_j/\tau}}",
        code="facebookresearch/moco (CC BY-NC 4.0)",
        # rows share batch-norm statistics with the neighbours in their group, so the order of a batch matters
        traits=Traits(splits="gather", permutable=False, memory=("momentum encoder", "queue")),
        oracle="baselines.npz",
        deviations=(
            "Shuffling BN works within a process: norm_groups parts of the batch stand for the code's devices, "
            "queries in order, keys dealt at random. Rows do not travel between processes for it.",
            "The momentum encoder moves at the end of a step, the code's at the beginning of the next: the same keys.",
            "The queue's size need not be a multiple of the batch.",
            "The learning rate follows the cosine by step; the code sets it once an epoch.",
        ),
    )
)
class MoCoV2(MomentumContrast):
    r"""MoCo (He et al., 2019) with the head, views and schedule of v2 (Chen et al., 2020).

    .. math:: \ell_i = -\log\frac{e^{q_i\cdot k_i/\tau}}{e^{q_i\cdot k_i/\tau} + \sum_j e^{q_i\cdot n_j/\tau}}

    with q the unit projections of one view, k those of the other by the momentum encoder, n the queue of K keys of
    earlier batches, and tau the temperature (Eq. 1). The order within a step: keys, loss on the old queue, update of
    the weights, momentum update, enqueue.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        queue_size: K.
        momentum: of the key encoder.
        temperature: tau.
        norm_groups: parts of a batch with batch-norm statistics of their own, at least two rows each; 1 turns
            Shuffling BN off, for encoders without batch norm.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        width: int | None = None,
        dim: int = 128,
        queue_size: int = 65536,
        momentum: float = 0.999,
        temperature: float = 0.2,
        norm_groups: int = 8,
    ) -> None:
        super().__init__(
            encoder,
            width=width,
            dim=dim,
            queue_size=queue_size,
            momentum=momentum,
            temperature=temperature,
            norm_groups=norm_groups,
        )

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """InfoNCE of each query with its key against the queue."""
        key = self.keys(z)
        return Step(self.loss(z["query"], key, self.queue.read().to(key.dtype)), carry={"key": key})


@recipe(MoCoV2)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_moco(MoCoV2)


@recipe(MoCoV2)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing, a queue and a momentum for a short run."""
    return small_moco(MoCoV2)


@recipe(MoCoV2)
def paper() -> Recipe:
    """ImageNet as in the code: batch 256, 200 epochs."""
    return imagenet_moco(MoCoV2)
