"""A small model that reads a picture and then a text, and what methods over dialogues share."""

from typing import Any

import torch
from torch import Tensor, nn

from likewise.core.batch import Batch, Prompt, View
from likewise.core.errors import InputError
from likewise.core.learner import Embeddings, Learner
from likewise.core.recipe import FROM_DATA, part
from likewise.core.tokens import EMBED, NUM_TOKENS
from likewise.functional import at_markers
from likewise.parts.encoders.gpt import Block


@part("encoder", "prompt-decoder")
class PromptDecoder(nn.Module):
    """Patches of a picture, if there is one, then tokens, through causal blocks: a multimodal language model in small.

    Args:
        depth: number of blocks.
        dim: width of the tokens; a multiple of twice ``heads``.
        heads: of attention.
        patch: pixels on a side of a patch; divides the picture's.
        channels: of the pictures.
        image_size: pixels on a side of the pictures.
    """

    def __init__(
        self,
        *,
        depth: int = 2,
        dim: int = 64,
        heads: int = 4,
        patch: int = 4,
        channels: int = FROM_DATA,
        image_size: int = FROM_DATA,
    ) -> None:
        super().__init__()
        if depth < 1 or heads < 1 or dim % (2 * heads):
            raise InputError(f"prompt-decoder: depth={depth} at least 1, dim={dim} a multiple of twice heads={heads}")
        if patch < 1 or image_size % patch:
            raise InputError(f"prompt-decoder: patch={patch} must divide the pictures' {image_size} pixels")
        self.dim = dim
        self.patches = nn.Conv2d(channels, dim, patch, stride=patch)
        self.places = nn.Parameter(0.02 * torch.randn((image_size // patch) ** 2, dim))
        self.embedding = nn.Embedding(NUM_TOKENS, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, 0.0) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        for name, weight in self.blocks.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def states(self, view: Any) -> Tensor:
        """Last hidden states ``(n, t, dim)`` of the tokens of a :class:`Prompt` or of ``Tokens``."""
        x, before = self.embedding(view.ids), 0
        if isinstance(view, Prompt):
            seen = self.patches(view.image).flatten(2).transpose(1, 2) + self.places
            x, before = torch.cat([seen, x], 1), seen.shape[1]
        for block in self.blocks:
            x, _ = block(x, None)
        out: Tensor = self.norm(x[:, before:])
        return out

    def forward(self, view: Any) -> Tensor:
        """Features ``(n, dim)`` at the first marker of each sequence."""
        return self.markers(view)[:, 0]

    def markers(self, view: Any) -> Tensor:
        """Features ``(n, k, dim)`` at all markers, the same number in each sequence."""
        return at_markers(self.states(view), view.ids, EMBED)


class DialogueLearner(Learner):
    """Base of methods that read one or several embeddings from a sequence.

    Args:
        encoder: of sequences.
        temperature: tau.
    """

    roles = ("query", "target")

    def __init__(self, encoder: PromptDecoder, *, temperature: float) -> None:
        super().__init__()
        if not temperature > 0:
            raise InputError(f"temperature={temperature} must be above 0")
        self.encoder, self.temperature = encoder, temperature

    def encode(self, batch: Batch) -> Embeddings:
        """Features at the markers of every view, ``(n, k, dim)``."""
        return {role: self.encoder.markers(view) for role, view in batch.views.items()}

    def embed(self, view: View, role: str | None = None) -> Tensor:
        """Features ``(n, dim)`` at the first marker."""
        out: Tensor = self.encoder(view)
        return out
