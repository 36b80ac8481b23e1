"""EDSR: super-resolution by the absolute error alone, which the contrastive methods of restoration build on."""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Step
from likewise.core.recipe import Recipe
from likewise.core.registry import recipe, register
from likewise.functional.restoration import grey_levels
from likewise.parts.encoders import sr
from likewise.parts.restoration import Restorer, image
from likewise.recipes.restoration import published, small_pictures, tiny_pictures


@register(
    Card(
        slug="edsr",
        title="Enhanced Deep Residual Networks for Single Image Super-Resolution",
        name="EDSR",
        paper="arXiv:1707.02921",
        year=2017,
        modality="image",
        task="restoration: pictures made 2, 3 or 4 times larger",
        contrasts="nothing: each pixel with the true one",
        pick="Larger pictures at the highest PSNR, and quickest. Fine detail comes out smooth; pcl-sr sharpens it.",
        equation=r"\mathcal{L} = \frac{1}{N}\sum_{i} \left| \mathrm{SR}_i - \mathrm{HR}_i \right|",
        code="sanghyun-son/EDSR-PyTorch (MIT)",
        traits=Traits(splits="mean", row_independent=True, min_batch=1),
        deviations=(
            "The network adds detail to a bicubic enlargement and starts as one; the paper's makes the whole picture.",
            "The mean colour that is subtracted first is 0.5; the paper takes that of its training set.",
        ),
        status="adapted",
    )
)
class EDSR(Restorer):
    r"""EDSR (Lim et al., 2017): the mean absolute error of restored pictures, in grey levels of 0..255.

    .. math:: \mathcal{L} = \frac1N\sum_i |\mathrm{SR}_i - \mathrm{HR}_i|

    Args:
        encoder: the network.
    """

    def __init__(self, encoder: sr.EDSR) -> None:
        super().__init__(encoder)

    def encode(self, batch: Batch) -> Embeddings:
        """The restored pictures ``(n, c, h, w)``."""
        return {"restored": self.restored(batch)}

    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The absolute error."""
        return Step(grey_levels(z["restored"], image(batch, "high")).mean())


@recipe(EDSR)
def tiny() -> Recipe:
    """For tests: milliseconds a step on digits."""
    return tiny_pictures(EDSR)


@recipe(EDSR)
def small() -> Recipe:
    """Minutes on two cores: clothing of 28 pixels from 14."""
    return small_pictures(EDSR)


@recipe(EDSR)
def paper() -> Recipe:
    """As the paper's baseline for a factor of 4, on a folder of DIV2K: 16 blocks, crops of 192 pixels."""
    return published(EDSR, batch=16, epochs=300, rate=1e-4)
