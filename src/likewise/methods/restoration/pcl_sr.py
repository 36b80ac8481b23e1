"""PCL-SR: a restored picture is drawn to sharper versions of the true one, and away from blurred ones."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likewise.core.batch import Batch
from likewise.core.card import Card, Claim, Traits
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.learner import Embeddings, Phase, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.functional.restoration import dual_contrast, grey_levels
from likewise.parts.encoders.sr import EDSR
from likewise.parts.restoration import Contrast, Kind, Restorer, image
from likewise.parts.wavelets import HaarPatches
from likewise.recipes.restoration import published, small_pictures, tiny_pictures


@register(
    Card(
        slug="pcl-sr",
        title="A Practical Contrastive Learning Framework for Single-Image Super-Resolution",
        name="PCL-SR",
        paper="arXiv:2111.13924",
        year=2021,
        modality="image",
        task="restoration: pictures made 2, 3 or 4 times larger",
        contrasts="a restored picture and the true one with sharpened versions of it, against slightly blurred "
        "versions and the enlarged small picture, in a discriminator's features of fine detail",
        pick="Larger pictures with as much fine detail as true ones, at several times the cost of a step and at some "
        "cost of PSNR. For the highest PSNR take edsr.",
        equation=r"\mathcal{L} = |\mathrm{SR}-\mathrm{HR}| + \lambda\,\frac{1}{P}\sum_{p}-\log"
        r"\frac{e^{s(\mathrm{SR},p)}}{e^{s(\mathrm{SR},p)} + \sum_{k} e^{s(\mathrm{SR},n_k)}}",
        code="Aitical/PCL-SISR (MIT)",
        traits=Traits(splits="gather", min_batch=2),
        oracle="pcl-sr.npz",
        claim=Claim(
            says="With the contrastive term the energy of fine detail comes nearer to the true pictures' than with the "
            "absolute error alone, at equal steps",
            data="fashion-mnist",
            metric="detail_error",
            beats="edsr",
            seeds=3,
            settings=(("data.limit", 5000), ("data.test_limit", 500), ("steps", 300), ("probe_every", 0)),
            further=(("psnr", "edsr", 1.0),),
        ),
        deviations=(
            "The gradient of the contrastive term flows through the discriminator to the network, as the paper has it; "
            "the released code computes these features without gradient (variant code).",
            "The network starts as a bicubic enlargement and is trained from there; the paper fine-tunes published "
            "weights of EDSR, RCAN, HAN and NLSN.",
            "The small recipe's discriminator has no batch norm. With it, as in the code, each kind of picture comes "
            "to one strength of detail before it is compared, and the claim, checked so first, did not hold (detail "
            "error 0.493 against 0.449 of edsr, over the same seeds).",
            "Size and width of each blur are drawn for each picture; pictures of one batch share nothing.",
        ),
        status="small",
    )
)
class PCLSR(Restorer):
    r"""PCL-SR (Wu et al., 2021): absolute error and a contrast with better and worse versions of the picture.

    .. math:: \mathcal{L} = |\mathrm{SR}-\mathrm{HR}| + \lambda\frac1P\sum_p
        -\log\frac{e^{s(\mathrm{SR},p)/\tau}}{e^{s(\mathrm{SR},p)/\tau} + \sum_k e^{s(\mathrm{SR},n_k)/\tau}}

    Positives p are the true picture and sharpened ones, negatives n the enlarged small picture and slightly blurred
    ones. s is the mean cosine of feature maps of a discriminator on the high bands of the Haar wavelet, which learns
    in its own turn, first in each step, to tell the positives from restored and blurred pictures by the dual
    contrastive loss. There is no adversarial term. The absolute error counts in grey levels of 0..255, as in the code.

    Args:
        encoder: the network that restores.
        discriminator: whose features are compared.
        weight: lambda.
        temperature: tau.
        layers: of the discriminator's blocks, whose features are compared; 0 is its first convolution.
        contrast: ``infonce``; ``lmcl`` leaves the positive out of the denominator; ``l1``, ``l2`` and ``cosine``
            compare mean distances (see :func:`likewise.functional.restoration.restoration_ratio`).
        shuffle: take other pictures' negatives as negatives, too.
        variant: ``code`` gives the contrastive term no gradient, as released.
    """

    def __init__(
        self,
        encoder: EDSR,
        discriminator: HaarPatches,
        *,
        weight: float = 5.0,
        temperature: float = 1.0,
        layers: tuple[int, ...] = (4,),
        contrast: Kind = "infonce",
        shuffle: bool = False,
        variant: Literal["paper", "code"] = "paper",
    ) -> None:
        super().__init__(encoder)
        count = len(discriminator.blocks)
        if not layers or not all(0 <= layer < count for layer in layers):
            raise InputError(f"layers={layers}: the discriminator has the blocks 0 to {count - 1}")
        if weight < 0:
            raise InputError(f"weight={weight} must be at least 0")
        self.discriminator = discriminator
        self.contrast = Contrast(contrast, temperature=temperature, shuffle=shuffle)
        self.weight, self.layers, self.variant = weight, tuple(layers), variant

    def phases(self) -> tuple[Phase, ...]:
        """The discriminator's turn, then the network's."""
        return (
            Phase("discriminator", ("discriminator",), self.encode_for_discriminator, self.discriminator_objective),
            Phase("encoder", ("encoder",), self.encode, self.objective),
        )

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """``encoder`` and ``discriminator``, each with its optimiser."""
        return {name: list(getattr(self, name).parameters()) for name in ("encoder", "discriminator")}

    def encode_for_discriminator(self, batch: Batch) -> Embeddings:
        """Logits ``(n, kinds * patches)`` of what is real and of what is not; the network gets no gradient."""
        with torch.no_grad():
            restored = self.restored(batch)
        real = [image(batch, "high"), *image(batch, "sharp").unbind(1)]
        fake = [*image(batch, "blurred").unbind(1), restored]
        # each kind by itself: batch norm sees one kind at a time, as in the code
        return {
            name: torch.cat([self.discriminator(x) for x in held], 1) for name, held in (("real", real), ("fake", fake))
        }

    def discriminator_objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The dual contrastive loss of all patches."""
        everyone = [comm.gather(z[name]).flatten() for name in ("real", "fake")]
        return Step(dual_contrast(z["real"].flatten(), z["fake"].flatten(), *everyone))

    def encode(self, batch: Batch) -> Embeddings:
        """Restored pictures; feature maps of them and, without gradient, of positives and negatives ``(n, k, ...)``."""
        restored, high = self.restored(batch), image(batch, "high")
        low = F.interpolate(image(batch, "low"), high.shape[2:], mode="bicubic", align_corners=True).clamp(0, 1)
        out = {"restored": restored}
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.variant == "paper"):
            anchors = self.discriminator.features(restored, self.layers)
        with torch.no_grad():
            positives = self._features(high, *image(batch, "sharp").unbind(1))
            negatives = self._features(low, *image(batch, "blurred").unbind(1))
        for layer, *held in zip(self.layers, anchors, positives, negatives, strict=True):
            out |= {f"{name}{layer}": maps for name, maps in zip(("anchor", "positive", "negative"), held)}
        return out

    def _features(self, *kinds: Tensor) -> list[Tensor]:
        each = [self.discriminator.features(kind, self.layers) for kind in kinds]
        return [torch.stack(maps, 1) for maps in zip(*each)]

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """Absolute error and contrast, logged in parts."""
        error = grey_levels(z["restored"], image(batch, "high")).mean()
        terms = [self.contrast(z[f"anchor{i}"], z[f"positive{i}"], z[f"negative{i}"], comm=comm) for i in self.layers]
        contrast = torch.stack(terms).mean()
        return Step(error + self.weight * contrast, {"error": error.detach(), "contrast": contrast.detach()})


@recipe(PCLSR)
def tiny() -> Recipe:
    """For tests: milliseconds a step on digits."""
    net = spec(HaarPatches, width=4, blocks=2, patches=2)
    return tiny_pictures(PCLSR, better=2, discriminator=net, layers=(2,))


@recipe(PCLSR)
def small() -> Recipe:
    """Minutes on two cores: clothing of 28 pixels from 14, a discriminator of three blocks without norms."""
    net = spec(HaarPatches, width=16, blocks=3, norm="none")
    return small_pictures(PCLSR, better=3, discriminator=net, layers=(2,))


@recipe(PCLSR)
def paper() -> Recipe:
    """As the script for RCAN, on a folder of DIV2K with EDSR: factor 4, crops of 192 pixels, lambda 5, 600 epochs."""
    return published(PCLSR, better=3, discriminator=spec(HaarPatches), batch=16, epochs=600, rate=5e-5)
