"""An encoder for each modality, and what methods over several modalities share."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from likewise.core.batch import Batch, Tokens, View
from likewise.core.errors import InputError, near
from likewise.core.learner import Embeddings, Learner
from likewise.core.modality import Modality
from likewise.core.recipe import FROM_DATA, part
from likewise.parts.encoders.convnet import ConvNet
from likewise.parts.encoders.mlp import MLPEncoder
from likewise.parts.losses import LogitScale


class MeanOfTokens(nn.Module):
    """The mean of learned vectors of a text's tokens, ``(n, dim)``; zeros for a text without any."""

    def __init__(self, num_tokens: int, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, dim)

    def forward(self, view: Tokens) -> Tensor:
        """Of tokens ``(n, t)``."""
        mask = view.mask[..., None].to(self.embedding.weight.dtype)
        out: Tensor = (self.embedding(view.ids) * mask).sum(1) / mask.sum(1).clamp(min=1)
        return out


@part("encoder", "towers")
class Towers(nn.Module):
    """A network for each modality by its kind: convolutions for images, words and pieces for texts, a perceptron.

    Args:
        dim: width of the features, the same for all.
        width: of what stands before: of the convolutions' output, the tokens' vectors, hidden layers.
        depth: hidden layers; 0 makes every tower a linear map (of pixels, of the mean of tokens, of the vector).
        modalities: name, kind and shape of each, as the data have them.
    """

    def __init__(
        self, *, dim: int = 64, width: int = 64, depth: int = 1, modalities: tuple[str, ...] = FROM_DATA
    ) -> None:
        super().__init__()
        if dim < 1 or width < 1 or depth < 0:
            raise InputError(f"towers: dim={dim} and width={width} must be at least 1, depth={depth} at least 0")
        self.dim = dim
        self.modalities = {m.name: m for m in map(Modality.parse, modalities)}
        # names are people's: a module's may hold no dot
        self.networks = nn.ModuleList(_network(m, dim, width, depth) for m in self.modalities.values())

    @property
    def roles(self) -> tuple[str, ...]:
        """The modalities by name, in order."""
        return tuple(self.modalities)

    def forward(self, view: Any, role: str | None = None) -> Tensor:
        """Features ``(n, dim)`` of one modality, the first if no role is named.

        Raises:
            InputError: there is no such modality, or its values are of another kind or shape than in training.
        """
        name = self.roles[0] if role is None else role
        if name not in self.modalities:
            raise InputError(f"the run has no modality {name!r}{near(name, self.roles)}")
        held = self.modalities[name]
        found = "text" if isinstance(view, Tokens) else tuple(view.shape[1:])
        if found != ("text" if held.kind == "text" else held.shape):
            raise InputError(f"{name!r} was trained on {held.kind}s of {_say(held)}, and this is {_say_found(found)}")
        out: Tensor = self.networks[self.roles.index(name)](view)
        return out


def _say(modality: Modality) -> str:
    return "words" if modality.kind == "text" else "x".join(map(str, modality.shape))


def _say_found(found: Any) -> str:
    return "text" if found == "text" else f"of {'x'.join(map(str, found)) or 'no shape'}"


def _network(modality: Modality, dim: int, width: int, depth: int) -> nn.Module:
    size = int(torch.tensor(modality.shape).prod())
    if modality.kind == "text":
        return nn.Sequential(MeanOfTokens(size, width), _perceptron(width, dim, width, depth))
    if modality.kind == "image" and depth > 0:
        channels = 4 * max(1, width // 4)
        return nn.Sequential(
            ConvNet(channels, modality.shape[0], norm="group"), _perceptron(channels, dim, width, depth - 1)
        )
    return nn.Sequential(nn.Flatten(), _perceptron(size, dim, width, depth))


def _perceptron(num: int, dim: int, width: int, depth: int) -> nn.Module:
    return MLPEncoder(num_features=num, width=width, depth=depth, dim=dim)


class ModalityLearner(Learner):
    """Base of methods that bring several modalities of a sample into one space, with a learnable scale.

    Args:
        encoder: of every modality.
        temperature: at the start.
    """

    def __init__(self, encoder: Towers, *, temperature: float) -> None:
        super().__init__()
        if len(encoder.roles) < 2:
            raise InputError(f"a contrast of modalities needs two at least, the data have {', '.join(encoder.roles)}")
        self.encoder, self.scale = encoder, LogitScale(temperature)

    @property
    def roles(self) -> tuple[str, ...]:
        """The modalities by name, in order."""
        return self.encoder.roles

    def encode(self, batch: Batch) -> Embeddings:
        """Features of every modality, ``(n, dim)``."""
        return {role: self.encoder(batch.views[role], role) for role in self.roles}

    def embed(self, view: View, role: str | None = None) -> Tensor:
        """Features ``(n, dim)`` of one modality, the first if no role is named."""
        out: Tensor = self.encoder(view, role)
        return out

    def query(self, others: Sequence[Tensor]) -> Tensor:
        """What stands for a missing modality: ``(n, dim)``, from unit rows of the others, to compare by dot product."""
        raise NotImplementedError(f"{type(self).__name__}: query() is abstract")
