"""SwAV: predict the cluster of one crop of an image from its other crops, with clusters that are used alike."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Context, Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.functional import sinkhorn, swapped_prediction
from likewise.parts.heads import mlp, together
from likewise.parts.memory import Queue
from likewise.parts.schedules import cosine
from likewise.recipes.image import imagenet, small_images, tiny_images
from likewise.views.image import multi_crop

ASSIGNED = ("a", "b")
"""The large crops, whose codes the other crops predict."""


@register(
    Card(
        slug="swav",
        title="Unsupervised Learning of Visual Features by Contrasting Cluster Assignments",
        name="SwAV",
        paper="arXiv:2006.09882",
        year=2020,
        modality="image",
        task="representation learning without labels",
        contrasts="the prototype scores of a crop with the balanced cluster assignment of another crop of the image",
        pick="Small batches without negatives or a slow encoder, and clusters as a by-product. Multi-crop costs time.",
        equation=r"\mathcal{L} = \frac{1}{2(V-1)}\sum_{a\in\{1,2\}}\sum_{v\neq a} -\sum_k q^a_k\log"
        r"\frac{e^{z_v\cdot c_k/\tau}}{\sum_{j} e^{z_v\cdot c_j/\tau}},\quad "
        r"Q = \mathrm{Sinkhorn}(Z C^{T}/\epsilon)",
        code="facebookresearch/swav (CC BY-NC 4.0)",
        traits=Traits(splits="statistics", memory=("queue",)),
        oracle="swav.npz",
        claim=Claim(
            says="At the same batch and number of epochs, codes predicted across large and small crops give features "
            "of a better linear accuracy than SimCLR's two crops.",
            data="fashion-mnist",
            metric="linear",
            beats="simclr",
            settings=(("data.limit", 4000), ("data.test_limit", 2000), ("epochs", 10)),
        ),
        deviations=(
            "The queue holds everybody's rows on every process, the code's a share of them; the codes are the same.",
            "The queue's rows are kept as a ring, and used once it is full, as the code does.",
            "The optimiser of the published setting is this library's LARS, which leaves biases and norms alone, with "
            "a warm-up from 0; the code wraps SGD in LARC and warms up from 0.3.",
            "Batch norm sees the rows of one process; the code synchronises it over devices.",
        ),
    )
)
class SwAV(Learner):
    r"""SwAV (Caron et al., 2020): swapped prediction of codes, Eq. 2 and 6.

    Rows z are unit projections of V crops, C the prototypes, of unit length, too. The codes of the two large crops come
    from their scores by a few Sinkhorn rounds over the batch, and over the queue once that is full; they carry no
    gradient. Every other crop predicts them with a softmax over prototypes.

    Args:
        encoder: from a view of any size to ``(n, encoder.dim)``; what is kept after training.
        prototypes: K.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        temperature: tau, of the prediction.
        epsilon: of the codes; smaller is sharper.
        iterations: Sinkhorn rounds; 0: codes are a plain softmax, and collapse.
        frozen_steps: first steps in which the prototypes do not learn.
        queue_size: rows of earlier batches that join the codes' balance; 0: none.
        queue_epoch: first epoch whose rows enter the queue.
    """

    done: Tensor
    queueing: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        prototypes: int = 3000,
        width: int | None = None,
        dim: int = 128,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        frozen_steps: int = 313,
        queue_size: int = 0,
        queue_epoch: int = 15,
    ) -> None:
        super().__init__()
        if prototypes < 2 or iterations < 0 or queue_size < 0:
            raise InputError(
                f"swav: prototypes={prototypes} must be at least 2, iterations={iterations} and "
                f"queue_size={queue_size} at least 0"
            )
        if not (temperature > 0 and epsilon > 0):
            raise InputError(f"swav: temperature={temperature} and epsilon={epsilon} must be above 0")
        self.encoder = encoder
        self.head = mlp(encoder.dim, width or encoder.dim, dim)
        self.prototypes = nn.Parameter(normalize(torch.randn(prototypes, dim), dim=1))
        self.queue = Queue(queue_size, len(ASSIGNED) * dim) if queue_size else None
        self.temperature, self.epsilon, self.iterations = temperature, epsilon, iterations
        self.frozen_steps, self.queue_epoch = frozen_steps, queue_epoch
        self.register_buffer("done", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("queueing", torch.zeros(1, dtype=torch.bool))

    def on_epoch(self, ctx: Context) -> None:
        """Note where the run stands: whether prototypes are frozen, and whether the queue is filled."""
        self.done.fill_(ctx.step)
        self.queueing.fill_(ctx.epoch >= self.queue_epoch)

    def encode(self, batch: Batch) -> Embeddings:
        """Projections of every crop, ``(n, dim)`` each; crops of one size go through the batch norms together."""
        roles = [*ASSIGNED, *(role for role in batch.views if role not in ASSIGNED)]
        sizes: dict[torch.Size, list[str]] = {}
        for role in roles:
            view = batch.views[role]
            assert isinstance(view, Tensor)
            sizes.setdefault(view.shape[1:], []).append(role)
        out: Embeddings = {}
        for alike in sizes.values():
            views = [batch.views[role] for role in alike]
            out |= zip(alike, together(views, self.encoder, self.head))
        return {role: out[role] for role in roles}

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """Swapped prediction; logs the largest share of a prototype in the codes, over the mean share."""
        rows = {role: normalize(value, dim=1) for role, value in z.items()}
        prototypes = self.prototypes.to(rows["a"].dtype)
        held = self._held(prototypes)
        with torch.no_grad():
            codes = [
                sinkhorn(
                    rows[role] @ prototypes.T,
                    None if held is None else held[:, at] @ prototypes.T,
                    epsilon=self.epsilon,
                    iterations=self.iterations,
                    comm=comm,
                )
                for at, role in enumerate(ASSIGNED)
            ]
            usage = comm.mean(torch.cat(codes).mean(0))
        if self.done < self.frozen_steps:
            prototypes = prototypes.detach()
        loss = swapped_prediction(list(rows.values()), codes, prototypes, temperature=self.temperature).mean()
        kept = torch.cat([rows[role].detach() for role in ASSIGNED], 1)
        return Step(loss, {"peak_usage": usage.max() * len(prototypes)}, {"rows": kept})

    def _held(self, like: Tensor) -> Tensor | None:
        """Rows ``(m, 2, dim)`` of earlier batches, once the queue is full."""
        if self.queue is None or len(self.queue) < len(self.queue.read()):
            return None
        return self.queue.read().unflatten(1, (len(ASSIGNED), -1)).to(like.dtype)

    def after_update(self, ctx: Context) -> None:
        """Make the prototypes unit again, and enqueue everybody's rows."""
        self.prototypes.copy_(normalize(self.prototypes, dim=1))
        self.done.fill_(ctx.step)
        rows = ctx.comm.gather(ctx.carry["rows"])
        if self.queue is not None and self.queueing:
            self.queue.write(rows)


@recipe(SwAV)
def tiny() -> Recipe:
    """For tests: milliseconds a step; two large and two small crops, prototypes that learn at once."""
    views = spec(multi_crop, num_local=2, local_size=8, global_scale=(0.3, 1.0), local_scale=(0.1, 0.3), blur_prob=0.0,
                 flip=False, jitter=(0.4, 0.4, 0.4, 0.1))  # fmt: skip
    return tiny_images(SwAV, views=views, prototypes=12, dim=16, frozen_steps=0, queue_size=24, queue_epoch=0)


@recipe(SwAV)
def small() -> Recipe:
    """Minutes on two cores: two large and four small crops of clothing."""
    views = spec(multi_crop, num_local=4, local_size=14, global_scale=(0.3, 1.0), local_scale=(0.1, 0.3), blur_prob=0.0,
                 jitter=(0.4, 0.4, 0.4, 0.1))  # fmt: skip
    return small_images(SwAV, views=views, prototypes=60, dim=64, frozen_steps=20, queue_size=1024, queue_epoch=5)


@recipe(SwAV)
def paper() -> Recipe:
    """ImageNet as in the paper: 2 x 224 + 6 x 96, batch 4096, 800 epochs."""
    return imagenet(
        SwAV, views=spec(multi_crop), batch=4096, epochs=800, width=2048, schedule=spec(cosine, warmup=0.0125, end=1e-3)
    )
