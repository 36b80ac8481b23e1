"""Equations of image restoration: wavelets, and contrasts of a restored picture with better and worse ones.

Features are maps ``(n, c, h, w)``; two of them are as alike as their cosines over channels, mean over positions.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from likewise.functional.precision import equation, softplus

_TINY = 3e-7  # of the authors' code, in denominators


def haar(image: Float[Tensor, "n c h w"]) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n d i j"]]:
    r"""One level of the Haar wavelet: what is smooth ``(n, c, h/2, w/2)``, and three bands of detail, ``d = 3c``.

    .. math::  LL = \tfrac12(a+b+c+d),\; LH = \tfrac12(a+b-c-d),\; HL = \tfrac12(a-b+c-d),\; HH = \tfrac12(a-b-c+d)

    with a, b the upper and c, d the lower row of each block of 2x2 pixels. The bands stand one after the other, each
    with all channels. Energy is kept. An odd side is reflected by one pixel.
    """
    down, right = image.shape[2] % 2, image.shape[3] % 2
    if down or right:
        image = F.pad(image, (0, right, 0, down), mode="reflect")
    upper, lower = image[:, :, ::2], image[:, :, 1::2]
    a, b, c, d = upper[..., ::2], upper[..., 1::2], lower[..., ::2], lower[..., 1::2]
    return (a + b + c + d) / 2, torch.cat([a + b - c - d, a - b + c - d, a - b - c + d], 1) / 2


@equation
def map_cosine(anchor: Float[Tensor, "n c h w"], others: Float[Tensor, "n k c h w"]) -> Float[Tensor, "n k"]:
    """How alike each map is to ``k`` others of its own: the cosine over channels, mean over positions."""
    height, width = anchor.shape[2:]
    unit = F.normalize(anchor, dim=1)
    return (unit[:, None] * F.normalize(others, dim=2)).sum((2, 3, 4)) / (height * width)


@equation
def map_distance(anchor: Float[Tensor, "n c h w"], others: Float[Tensor, "n k c h w"]) -> Float[Tensor, "n k"]:
    """The mean absolute difference of each map and ``k`` others of its own."""
    return (anchor[:, None] - others).abs().mean((2, 3, 4))


@equation
def grey_levels(restored: Float[Tensor, "n c h w"], image: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """The mean absolute error of each picture with values 0..1, in grey levels of 0..255."""
    return 255 * (restored - image).abs().mean((1, 2, 3))


@equation
def restoration_nce(
    positive: Float[Tensor, "n p"],
    negative: Float[Tensor, "n m"],
    *,
    temperature: float = 1.0,
    decoupled: bool = False,
) -> Float[Tensor, " n"]:
    r"""Each picture against better and worse versions of itself, mean over the better ones; a value per picture.

    .. math::  \ell_i = \frac1P\sum_p -\log\frac{e^{s_{ip}/\tau}}{e^{s_{ip}/\tau} + \sum_k e^{s_{ik}/\tau}}

    with s from :func:`map_cosine`. ``decoupled`` leaves the positive out of the denominator (LMCL in the code).
    Source: Wu et al., "A Practical Contrastive Learning Framework for Single-Image Super-Resolution",
    arXiv:2111.13924; the code's temperature is 1.
    """
    apart = (negative / temperature).logsumexp(1, keepdim=True) - positive / temperature
    return (apart if decoupled else softplus(apart)).mean(1)


@equation
def restoration_ratio(
    near: Float[Tensor, " n"], far: Float[Tensor, " n"], kind: Literal["l1", "l2", "cosine"]
) -> Float[Tensor, ""]:
    """The code's other contrasts, of everybody's closeness to the better (``near``) and the worse version (``far``).

    ``l1``: ratio of mean absolute differences. ``l2``: ratio of 1 - cosine. ``cosine``: difference of cosines.
    """
    good, bad = near.mean(), far.mean()
    if kind == "l1":
        return good / (bad + _TINY)
    return (1 - good) / (1 - bad + _TINY) if kind == "l2" else bad - good


@equation
def dual_contrast(
    real: Float[Tensor, " r"],
    fake: Float[Tensor, " f"],
    all_real: Float[Tensor, " p"],
    all_fake: Float[Tensor, " q"],
) -> Float[Tensor, ""]:
    r"""A discriminator's loss: each real logit against all fake ones, and each fake one against all real ones.

    .. math::  \frac1R\sum_i \log\Big(1 + \sum_j e^{f_j - r_i}\Big) + \frac1F\sum_j \log\Big(1 + \sum_i e^{f_j-r_i}\Big)

    ``real`` and ``fake`` are a process's own, ``all_real`` and ``all_fake`` everybody's.
    Source: Yu et al., "Dual Contrastive Loss and Attention for GANs", arXiv:2103.16748, Eq. 3 and 4.
    """
    return softplus(all_fake.logsumexp(0) - real).mean() + softplus(fake + (-all_real).logsumexp(0)).mean()


def luma(image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
    """Brightness of pictures in 0..1 with three channels, by ITU-R BT.601; of others the mean of their channels."""
    if image.shape[1] == 3:
        return (image * image.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return image.mean(1, keepdim=True)


def psnr(restored: Float[Tensor, "n c h w"], image: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Peak signal-to-noise ratio of each picture in dB, values 0..1; 100 where the two are the same, or nearly."""
    return (-10 * (restored - image).square().mean((1, 2, 3)).log10()).clamp(max=100)


@equation
def ssim(
    restored: Float[Tensor, "n c h w"], image: Float[Tensor, "n c h w"], *, window: int = 11, sigma: float = 1.5
) -> Float[Tensor, " n"]:
    r"""Structural similarity of each picture, values 0..1: the mean over channels and windows inside the picture.

    .. math::  \frac{(2\mu_x\mu_y + C_1)(2\sigma_{xy} + C_2)}{(\mu_x^2+\mu_y^2+C_1)(\sigma_x^2+\sigma_y^2+C_2)},
               \quad C_1 = 0.01^2,\; C_2 = 0.03^2

    with Gaussian weights of deviation ``sigma`` in windows of ``window`` pixels a side, fewer in smaller pictures.
    Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", 2004, Eq. 13.
    """
    side = min(window, *image.shape[2:])
    at = torch.arange(side, device=image.device, dtype=image.dtype) - (side - 1) / 2
    taps = torch.exp(-(at**2) / (2 * sigma**2))
    kernel = (taps / taps.sum())[:, None] * (taps / taps.sum())
    x, y = restored.flatten(0, 1)[:, None], image.flatten(0, 1)[:, None]

    def mean(value: Tensor) -> Tensor:
        return F.conv2d(value, kernel[None, None])

    mx, my = mean(x), mean(y)
    xx, yy, xy = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    found = (2 * mx * my + c1) * (2 * xy + c2) / ((mx * mx + my * my + c1) * (xx + yy + c2))
    return found.mean((1, 2, 3)).view(image.shape[:2]).mean(1)
