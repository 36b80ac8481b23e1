"""A small vision transformer (Dosovitskiy et al., 2021, arXiv:2010.11929) with the fixed positions of MoCo v3."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, part


def grid_positions(height: int, width: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Sines and cosines of row and column, ``(height * width, dim)``, a quarter of ``dim`` each (MoCo v3)."""
    rates = 10000.0 ** -(torch.arange(dim // 4, device=device) / (dim // 4))
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    angles = [place.flatten()[:, None] * rates for place in (columns, rows)]
    return torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], dim=1)


class Block(nn.Module):
    """Self-attention and a two-layer perceptron, each after a layer norm and around a shortcut."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens ``(n, t, dim)`` to tokens of the same shape."""
        n, t, dim = x.shape
        # (3, n, heads, t, dim / heads)
        q, k, v = self.qkv(self.norm_attention(x)).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, dim)
        x = x + self.out(mixed)
        out: Tensor = x + self.mlp(self.norm_mlp(x))
        return out


@part("encoder", "vit")
class ViT(nn.Module):
    """Patches, transformer blocks, and the mean over the patch tokens. Rows never mix: there is no batch norm.

    Args:
        patch: side of a patch in pixels; divides the sides of the image.
        depth: number of blocks.
        dim: width of the tokens and the features; a multiple of 4 and of ``heads``.
        heads: of attention.
        channels: of the images.
        freeze_patches: keep the random patch projection as it is, which steadies training (MoCo v3, section 4.2).
    """

    def __init__(
        self,
        patch: int = 4,
        depth: int = 4,
        dim: int = 128,
        heads: int = 4,
        channels: int = FROM_DATA,
        freeze_patches: bool = False,
    ) -> None:
        super().__init__()
        if dim % 4 or dim % heads:
            raise InputError(f"vit: dim must be a multiple of 4 and of heads={heads}, got {dim}")
        self.dim, self.patch = dim, patch
        self.patches = nn.Conv2d(channels, dim, patch, stride=patch).requires_grad_(not freeze_patches)
        self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def tokens(self, view: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens ``(n, t, dim)`` of images ``(n, channels, h, w)``, patches row by row, and their mask, all true."""
        height, width = view.shape[-2:]
        if height % self.patch or width % self.patch:
            raise InputError(
                f"vit: patches of {self.patch} pixels do not tile an image of {height} x {width}; set patch"
            )
        grid = self.patches(view)
        positions = grid_positions(grid.shape[2], grid.shape[3], self.dim, view.device).to(grid.dtype)
        x = self.norm(self.blocks(grid.flatten(2).transpose(1, 2) + positions))
        return x, torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)

    def forward(self, view: Tensor) -> Tensor:
        """Features ``(n, dim)`` of images ``(n, channels, h, w)``."""
        return self.tokens(view)[0].mean(1)
