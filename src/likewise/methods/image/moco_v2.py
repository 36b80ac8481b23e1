"""MoCo v2: a crop finds its momentum key among a queue of past keys."""

from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Context, Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.parts.encoders import resnet50
from likewise.parts.heads import mlp
from likewise.parts.losses import InfoNCE
from likewise.parts.memory import Queue
from likewise.parts.momentum import Momentum, in_norm_groups
from likewise.parts.optimizers import sgd
from likewise.parts.schedules import cosine
from likewise.recipes.image import PLAIN, PLAIN_UNFLIPPED, imagenet, small_images, tiny_images
from likewise.views.image import moco_v2_views


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
class MoCoV2(Learner):
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
        super().__init__()
        self.encoder = encoder
        self.head = mlp(encoder.dim, width or encoder.dim, dim, norm="none")
        self.teacher = Momentum(self.encoder, self.head, momentum=momentum)
        self.queue = Queue(queue_size, dim)
        self.loss = InfoNCE(temperature)
        self.norm_groups = norm_groups

    def _project(self, view: Any) -> Tensor:
        out: Tensor = self.head(self.encoder(view))
        return out

    def encode(self, batch: Batch) -> Embeddings:
        """Queries of view ``a`` and keys of view ``b``, ``(n, dim)`` each; keys without gradient."""
        return {
            "query": in_norm_groups(self._project, batch.views["a"], self.norm_groups),
            "key": in_norm_groups(self.teacher, batch.views["b"], self.norm_groups, shuffle=True),
        }

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """InfoNCE of each query with its key against the queue."""
        key = normalize(z["key"].detach(), dim=1)
        return Step(self.loss(z["query"], key, self.queue.read().to(key.dtype)), carry={"key": key})

    def after_update(self, ctx: Context) -> None:
        """Move the momentum encoder, then enqueue everybody's keys."""
        self.teacher.update(self.encoder, self.head)
        self.queue.write(ctx.comm.gather(ctx.carry["key"]))


@recipe(MoCoV2)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return tiny_images(
        MoCoV2, dim=16, queue_size=100, momentum=0.9, norm_groups=2, views=PLAIN_UNFLIPPED, optimizer=spec(sgd, lr=0.05)
    )


@recipe(MoCoV2)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing, a queue and a momentum for a short run."""
    return small_images(
        MoCoV2,
        dim=64,
        queue_size=2048,
        momentum=0.99,
        norm_groups=4,
        views=PLAIN,
        optimizer=spec(sgd, lr=0.06, weight_decay=5e-4),
        schedule=spec(cosine),
    )


@recipe(MoCoV2)
def paper() -> Recipe:
    """ImageNet as in the code: batch 256, 200 epochs."""
    return imagenet(
        MoCoV2,
        encoder=spec(resnet50, zero_init=False),
        views=spec(moco_v2_views),
        optimizer=spec(sgd, lr=0.03, weight_decay=1e-4, decay_all=True),
        schedule=spec(cosine),
        batch=256,
        epochs=200,
    )
