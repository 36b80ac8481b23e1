"""PCL: MoCo, and besides every crop finds the cluster that its image belongs to."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Context, Embeddings, Encoder, Step
from likewise.core.recipe import FROM_DATA, Recipe, spec
from likewise.core.registry import recipe, register
from likewise.data.sources import digits
from likewise.parts.clustering import Prototypes
from likewise.parts.losses import PrototypeNCE
from likewise.parts.momentum_contrast import MomentumContrast
from likewise.recipes.image import imagenet_moco, small_moco, tiny_moco


@register(
    Card(
        slug="pcl",
        title="Prototypical Contrastive Learning of Unsupervised Representations",
        name="PCL",
        paper="arXiv:2005.04966",
        year=2021,
        modality="image",
        task="representation learning without labels",
        contrasts="a crop with its momentum key against a queue, and with the centre of its image's cluster against "
        "other clusters' centres, at several granularities",
        pick="Data with real groups to be found: clustering, retrieval, few labels. Needs epochs, as it clusters once "
        "in each.",
        equation=r"\mathcal{L} = \mathcal{L}_{\mathrm{NCE}} + \frac1M\sum_{m=1}^{M}\frac1B\sum_i -\log"
        r"\frac{e^{q_i\cdot c^m_{s(i)}/\phi^m_{s(i)}}}{\sum_{j\in B\cup R} e^{q_i\cdot c^m_j/\phi^m_j}}",
        code="salesforce/PCL (MIT)",
        # batch norm in groups, as in moco-v2, and negative prototypes are drawn for the batch
        traits=Traits(splits="gather", permutable=False, memory=("momentum encoder", "queue", "prototypes")),
        oracle="baselines.npz",
        waivers=(("ids-are-names", "clusters are looked up by a sample's position in the training set"),),
        deviations=(
            "A cluster count that leaves fewer than num_negatives clusters without a sample of the batch takes all of "
            "those; the code fails.",
            "The denominator has the prototypes of every process's samples; the code takes each process's own.",
            "k-means is our own below about 30 million distances an iteration and faiss above, if installed; the code "
            "always takes faiss.",
            "Shuffling BN works within a process, and the momentum encoder moves at the end of a step: see moco-v2.",
        ),
    )
)
class PCL(MomentumContrast):
    r"""PCL (Li et al., 2021): ProtoNCE (Eq. 11) with M clusterings of the momentum features.

    .. math:: \ell_i = \ell^{\mathrm{MoCo}}_i + \frac1M\sum_m -\log\frac{e^{q_i\cdot c^m_{s(i)}/\phi^m_{s(i)}}}
        {\sum_{j} e^{q_i\cdot c^m_j/\phi^m_j}}

    with q the unit projections, c the unit centres of the m-th clustering, s(i) the cluster of sample i, phi the
    concentration of each cluster (Eq. 12), and j over the clusters of the batch's samples and ``num_negatives``
    others. From epoch ``warmup_epochs`` on, every epoch begins with k-means over the unaugmented training images.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        num_samples: of the training set.
        clusters: of each of the M clusterings.
        warmup_epochs: epochs of MoCo alone.
        num_negatives: r, clusters without a sample in the batch, at most.
        queue_size: K, keys in the queue.
        width: of the head's hidden layer; None: the encoder's.
        dim: of the projections.
        momentum: of the key encoder.
        temperature: tau, and the mean of phi.
        redo: starts of k-means.
        norm_groups: parts of a batch with batch-norm statistics of their own; 1 turns Shuffling BN off.
    """

    clustered: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        num_samples: int = FROM_DATA,
        clusters: tuple[int, ...] = (25_000, 50_000, 100_000),
        warmup_epochs: int = 20,
        num_negatives: int = 16_384,
        queue_size: int = 16_384,
        width: int | None = None,
        dim: int = 128,
        momentum: float = 0.999,
        temperature: float = 0.2,
        redo: int = 5,
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
        self.prototypes = nn.ModuleList(Prototypes(k, num_samples, dim) for k in clusters)
        self.register_buffer("clustered", torch.zeros(1, dtype=torch.bool))
        self.prototype_loss = PrototypeNCE()
        self.temperature, self.warmup_epochs, self.redo = temperature, warmup_epochs, redo
        self.num_negatives = num_negatives

    def on_epoch(self, ctx: Context) -> None:
        """After the warm-up: cluster the momentum features of every training sample."""
        if ctx.epoch < self.warmup_epochs:
            return
        assert ctx.extract is not None, "PCL clusters the training samples, and this loop has no way to read them"
        self.eval()
        rows = ctx.extract(lambda view: normalize(self.teacher(view), dim=1))
        self.train()
        for number, held in enumerate(self._clusterings()):
            generator = torch.Generator().manual_seed(1000 * ctx.epoch + number)
            held.fit(rows, temperature=self.temperature, generator=generator, comm=ctx.comm, redo=self.redo)
        self.clustered.fill_(True)

    def _clusterings(self) -> list[Prototypes]:
        return [held for held in self.prototypes if isinstance(held, Prototypes)]

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """MoCo's loss, and after the warm-up the mean of the prototype terms, logged as ``prototype_loss``."""
        key = self.keys(z)
        loss: Tensor = self.loss(z["query"], key, self.queue.read().to(key.dtype))
        if not self.clustered:
            return Step(loss, carry={"key": key})
        everyone = comm.gather(batch.ids)
        terms = [
            self.prototype_loss(
                z["query"],
                held.centroids.to(key.dtype),
                held.assignment[batch.ids],
                held.density.to(key.dtype),
                held.negatives(batch.ids, everyone, self.num_negatives),
            )
            for held in self._clusterings()
        ]
        prototype_loss = torch.stack(terms).mean()
        return Step(loss + prototype_loss, {"prototype_loss": prototype_loss.detach()}, {"key": key})


@recipe(PCL)
def tiny() -> Recipe:
    """For tests: milliseconds a step, clusters from the first epoch on."""
    few = spec(digits, limit=200)
    return tiny_moco(PCL, clusters=(10, 20), warmup_epochs=0, num_negatives=20, redo=1, data=few)


@recipe(PCL)
def small() -> Recipe:
    """Minutes on two cores: 10,000 images of clothing, three granularities, two epochs of warm-up."""
    return small_moco(PCL, clusters=(50, 100, 200), warmup_epochs=2, num_negatives=200, redo=1)


@recipe(PCL)
def paper() -> Recipe:
    """ImageNet as in the code for v2: batch 256, 200 epochs."""
    return imagenet_moco(PCL)
