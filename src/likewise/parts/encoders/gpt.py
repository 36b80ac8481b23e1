"""A small causal transformer over tokens: pre-norm, rotary positions, tied embeddings, a key/value cache.

Radford et al. 2019 (GPT-2) with the rotary positions of Su et al., arXiv:2104.09864, so that a text may grow longer
than the windows of training.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, part

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values of each block, ``(n, heads, t, width)``."""


def rotate(x: Tensor, start: int) -> Tensor:
    """Turn pairs of channels of ``x (n, heads, t, width)`` by angles that grow with the position, from ``start`` on."""
    half = x.shape[-1] // 2
    rates = 10000.0 ** -(torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angles = (start + torch.arange(x.shape[2], device=x.device, dtype=x.dtype))[:, None] * rates
    a, b = x.chunk(2, -1)
    sin, cos = angles.sin(), angles.cos()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Block(nn.Module):
    """Causal self-attention and a two-layer perceptron, each after a layer norm and around a shortcut."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, nn.Dropout(dropout)
        self.norm_attention, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """New tokens ``(n, t, dim)`` after those of ``past``: tokens of the same shape, and all keys and values."""
        n, t, dim = x.shape
        # (3, n, heads, t, dim / heads)
        q, k, v = self.qkv(self.norm_attention(x)).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        start = 0 if past is None else past[0].shape[2]
        q, k = rotate(q, start), rotate(k, start)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        seen = torch.ones(t, start + t, dtype=torch.bool, device=x.device).tril(start)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(n, t, dim)))
        return x + self.dropout(self.mlp(self.norm_mlp(x))), (k, v)


@part("encoder", "gpt")
class GPT(nn.Module):
    """A causal language model. Padding stands on the right, where no token looks.

    Args:
        depth: number of blocks.
        dim: width of the tokens; a multiple of twice ``heads``.
        heads: of attention.
        dropout: share of each block's output that is dropped in training.
        num_tokens: size of the vocabulary.
    """

    def __init__(
        self, depth: int = 2, dim: int = 64, heads: int = 4, dropout: float = 0.0, num_tokens: int = FROM_DATA
    ) -> None:
        super().__init__()
        if dim % (2 * heads):
            raise InputError(f"gpt: dim={dim} must be a multiple of twice the heads={heads}")
        if depth < 1 or num_tokens < 1:
            raise InputError(f"gpt: depth={depth} and num_tokens={num_tokens} must be at least 1")
        self.dim = dim
        self.embedding = nn.Embedding(num_tokens, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                # what is added to the shortcuts starts smaller the more blocks there are (GPT-2)
                last = name.endswith(("out.weight", "mlp.2.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * depth) ** 0.5 if last else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    def forward(self, ids: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Last hidden states ``(n, t, dim)``, after the final norm, of new tokens ``ids (n, t)``, and the cache.

        Args:
            ids: int64.
            cache: of the tokens before; it is not changed.
        """
        x, kept = self.embedding(ids), []
        for i, block in enumerate(self.blocks):
            x, pair = block(x, None if cache is None else cache[i])
            kept.append(pair)
        return self.norm(x), kept

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits ``(..., num_tokens)`` of the next token, by the tied embeddings."""
        return F.linear(hidden, self.embedding.weight)
