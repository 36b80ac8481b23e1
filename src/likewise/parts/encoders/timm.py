"""Any image model of the library timm as an encoder."""

from torch import Tensor, nn

from likewise.core.errors import InputError, near, require
from likewise.core.recipe import FROM_DATA, part


@part("encoder", "timm")
class Timm(nn.Module):
    """A timm model without its classifier.

    Args:
        name: of the model in timm, like ``resnet18`` or ``vit_tiny_patch16_224``.
        pretrained: start from the published weights, which timm downloads.
        channels: of the images.
        size: side of the images, for models built for one size (most transformers); None: the model's own.
    """

    def __init__(
        self, name: str = "resnet18", pretrained: bool = False, channels: int = FROM_DATA, size: int | None = None
    ) -> None:
        super().__init__()
        timm = require("timm", "vision", "the encoder 'timm'")
        if not timm.is_model(name):
            raise InputError(f"timm has no model {name!r}{near(name, timm.list_models())}")
        sized = {} if size is None else {"img_size": size}
        self.model = timm.create_model(name, pretrained=pretrained, in_chans=channels, num_classes=0, **sized)
        # a few models (MobileNetV3) widen their features once more before the classifier
        self.dim = int(getattr(self.model, "head_hidden_size", None) or self.model.num_features)

    def forward(self, view: Tensor) -> Tensor:
        """Features ``(n, dim)`` of images ``(n, channels, h, w)``."""
        out: Tensor = self.model(view)
        return out
