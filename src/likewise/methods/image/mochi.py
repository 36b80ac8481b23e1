"""MoCHi: MoCo v2 with harder negatives, mixed on the fly from the hardest of the queue."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.learner import Context, Embeddings, Encoder, Step
from likewise.core.recipe import Recipe
from likewise.core.registry import recipe, register
from likewise.functional import mix_pairs, mix_with_query
from likewise.functional.metrics import nearest
from likewise.parts.momentum_contrast import MomentumContrast
from likewise.recipes.image import imagenet_moco, small_moco, tiny_moco


@register(
    Card(
        slug="mochi",
        title="Hard Negative Mixing for Contrastive Learning",
        name="MoCHi",
        paper="arXiv:2010.01028",
        year=2020,
        modality="image",
        task="representation learning without labels",
        contrasts="a crop with the momentum key of another crop, against a queue and synthetic negatives that are "
        "mixed from the hardest of the queue, and from these and the crop itself",
        pick="When MoCo's negatives have become easy: a harder task at the same batch and queue.",
        equation=r"\mathcal{L} = -\frac1B\sum_i\log\frac{e^{q_i\cdot k_i/\tau}}{e^{q_i\cdot k_i/\tau} + "
        r"\sum_{n\in Q\cup H_i\cup H'_i} e^{q_i\cdot n/\tau}},\quad h \propto \alpha n_j + (1-\alpha) n_l,\quad "
        r"h' \propto \beta q_i + (1-\beta) n_j",
        code="none by the authors; davidsvy/hard-negative-mixing (MIT) was compared with",
        traits=Traits(splits="gather", permutable=False, memory=("momentum encoder", "queue")),
        oracle="mochi.npz",
        claim=Claim(
            says="Mixing hard negatives makes the task harder and spreads features more evenly over the sphere than "
            "MoCo v2, at an accuracy that is no worse.",
            data="fashion-mnist",
            metric="uniformity",
            beats="moco-v2",
            settings=(("data.limit", 4000), ("data.test_limit", 2000), ("epochs", 8), ("queue_size", 512)),
        ),
        deviations=(
            "Rows of the queue that hold the query's own sample are no negatives and are mixed into none, as in the "
            "code compared with; the paper's queues are too short for that to happen.",
            "The picks and shares of a sample are drawn from its id and the state of the queue, so that they do not "
            "depend on its place in the batch or on the number of devices.",
            "As for moco-v2: Shuffling BN within a process, momentum update at the end of a step.",
        ),
        waivers=(("ids-are-names", "the random picks of a sample are a function of its id"),),
    )
)
class MoCHi(MomentumContrast):
    r"""MoCHi (Kalantidis et al., 2020): synthetic negatives for each query, Eq. 4 and 5.

    The ``hard`` rows of the queue that are most like a query are mixed in pairs (``pairs`` points, alpha uniform in
    (0, 1)) and with the query (``with_query`` points, beta uniform in (0, 1/2)); the points are made unit, take part
    in the denominator, carry no gradient, and are forgotten after the step.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        hard: N, how many of the queue are mixed.
        pairs: s, points between two of them.
        with_query: s', points between one of them and the query.
        warmup_epochs: epochs of MoCo alone.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        queue_size: K.
        momentum: of the key encoder.
        temperature: tau.
        norm_groups: parts of a batch with batch-norm statistics of their own; 1 turns Shuffling BN off.
    """

    mixing: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        hard: int = 1024,
        pairs: int = 1024,
        with_query: int = 128,
        warmup_epochs: int = 10,
        width: int | None = None,
        dim: int = 128,
        queue_size: int = 16_384,
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
        if hard < 1 or pairs < 0 or with_query < 0:
            raise InputError(f"mochi: hard={hard} must be at least 1, pairs={pairs} and with_query={with_query} 0")
        self.hard, self.num_pairs, self.num_with_query = min(hard, queue_size), pairs, with_query
        self.warmup_epochs = warmup_epochs
        self.register_buffer("mixing", torch.zeros(1, dtype=torch.bool))

    def on_epoch(self, ctx: Context) -> None:
        """Start to mix after the warm-up."""
        self.mixing.fill_(ctx.epoch >= self.warmup_epochs)

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """InfoNCE against the queue and what is mixed of it; logs how often the key is nearer than all of the queue."""
        key = self.keys(z)
        queue = self.queue.read().to(key.dtype)
        query = normalize(z["query"].detach(), dim=1)
        most, where = nearest(query, queue, self.hard, same=(batch.ids, self.queue.ids))
        mixed = self._mixed(query, queue[where], most.isfinite().sum(1), batch.ids) if self.mixing else None
        loss = self.loss(z["query"], key, queue, own_negatives=mixed, ids=batch.ids, negative_ids=self.queue.ids)
        right = ((query * key).sum(1) > most[:, 0]).to(key.dtype).mean()
        return Step(loss, {"proxy_accuracy": right}, {"key": key, "ids": batch.ids})

    def _mixed(self, query: Tensor, hard: Tensor, num: Tensor, ids: Tensor) -> Tensor:
        """Synthetic negatives ``(n, pairs + with_query, dim)`` from each row's first ``num (n,)`` hard ones."""
        draws = Draws(0, int(self.queue.written), ids)

        def pick(count: int) -> Tensor:
            return (draws.uniform(count) * num.clamp_min(1)[:, None]).long().clamp_max(hard.shape[1] - 1)

        between = mix_pairs(
            hard, pick(self.num_pairs), pick(self.num_pairs), draws.uniform(self.num_pairs).to(hard.dtype)
        )
        share = draws.uniform(self.num_with_query, high=0.5).to(hard.dtype)
        return torch.cat([between, mix_with_query(query, hard, pick(self.num_with_query), share)], 1)


@recipe(MoCHi)
def tiny() -> Recipe:
    """For tests: milliseconds a step, mixing from the start."""
    return tiny_moco(MoCHi, hard=20, pairs=8, with_query=4, warmup_epochs=0)


@recipe(MoCHi)
def small() -> Recipe:
    """Minutes on two cores: as moco-v2's, with one epoch of MoCo alone."""
    return small_moco(MoCHi, hard=64, pairs=64, with_query=32, warmup_epochs=1)


@recipe(MoCHi)
def paper() -> Recipe:
    """ImageNet as in the paper: (N, s, s') = (1024, 512, 256), mixing from epoch 15 on."""
    return imagenet_moco(MoCHi, pairs=512, with_query=256, warmup_epochs=15, queue_size=65_536)
