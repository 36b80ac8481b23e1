"""What methods on top of MoCo v2 share: an encoder, its slow copy, a queue of keys, and the order of a step."""

from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.learner import Context, Embeddings, Encoder, Learner
from likewise.parts.heads import mlp
from likewise.parts.losses import InfoNCE
from likewise.parts.memory import Queue
from likewise.parts.momentum import Momentum, in_norm_groups


class MomentumContrast(Learner):
    """Queries of one view, momentum keys of the other, a queue; the objective is the method's own.

    The order within a step: keys, loss on the old queue, update of the weights, momentum update, enqueue. An objective
    puts the unit keys into ``Step.carry["key"]`` and may leave the rest to this class.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        queue_size: keys in the queue.
        momentum: of the key encoder.
        temperature: of the loss.
        norm_groups: parts of a batch with batch-norm statistics of their own (Shuffling BN); 1 turns that off.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        width: int | None,
        dim: int,
        queue_size: int,
        momentum: float,
        temperature: float,
        norm_groups: int,
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

    def keys(self, z: Embeddings) -> Tensor:
        """The batch's unit keys ``(n, dim)``."""
        return normalize(z["key"].detach(), dim=1)

    def after_update(self, ctx: Context) -> None:
        """Move the momentum encoder, then enqueue everybody's keys."""
        self.teacher.update(self.encoder, self.head)
        ids = ctx.carry.get("ids")
        self.queue.write(ctx.comm.gather(ctx.carry["key"]), None if ids is None else ctx.comm.gather(ids))
