import pytest
import torch
from torch import nn

from likewise.parts.heads import mlp, together


def shape(head: nn.Sequential) -> list[str]:
    """Layers in words: ``L`` with a bias, ``l`` without, ``B`` and ``b`` batch norm with and without affine, ``R``."""
    words = {nn.Linear: "lL", nn.BatchNorm1d: "bB", nn.ReLU: "RR"}
    return [words[type(m)][getattr(m, "bias", None) is not None] for m in head]


@pytest.mark.parametrize(
    ("settings", "layers"),
    [
        ({}, "lBRL"),  # DCL, SimCLR
        ({"norm": "none"}, "LRL"),  # MoCo v2, SupCon
        ({"layers": 3, "last_norm": "plain"}, "lBRlBRlb"),  # SimSiam's projector
        ({"last_norm": "plain"}, "lBRlb"),  # MoCo v3's projector
        ({"last_bias": False}, "lBRl"),  # MoCo v3's predictor for a ResNet
        ({"bias": True, "last_bias": False}, "LBRl"),  # BYOL
        ({"layers": 3, "last_bias": False}, "lBRlBRl"),  # Barlow Twins
        ({"layers": 3, "bias": True, "last_bias": False}, "LBRLBRl"),  # VICReg
        ({"layers": 3, "last_norm": "batch"}, "lBRlBRlB"),  # NNCLR
        ({"last_norm": "scale"}, "lBRlB"),  # SimCLR's code, MV-DHEL
        ({"layers": 1}, "L"),
    ],
)
def test_heads_have_the_layers_of_the_papers_code(settings, layers) -> None:
    head = mlp(6, 10, 4, **settings)
    assert "".join(shape(head)) == layers
    assert head(torch.randn(5, 6)).shape == (5, 4)
    hidden = [m.out_features for m in head if isinstance(m, nn.Linear)]
    assert hidden == [10] * (len(hidden) - 1) + [4]


@pytest.mark.parametrize(("last_norm", "shifts"), [("batch", True), ("scale", False)])
def test_a_norm_that_scales_does_not_shift(last_norm, shifts) -> None:
    last = mlp(6, 10, 4, last_norm=last_norm)[-1]
    assert last.weight.requires_grad
    assert last.bias.requires_grad is shifts
    assert not last.bias.any()


def test_views_pass_batch_norm_together_and_come_back_apart() -> None:
    norm = nn.BatchNorm1d(3)
    a, b = torch.randn(4, 3), torch.randn(6, 3) + 5
    together_a, together_b = together([a, b], norm, nn.Identity())
    joint = torch.cat([a, b])
    expected = (joint - joint.mean(0)) / (joint.var(0, unbiased=False) + norm.eps).sqrt()
    assert torch.allclose(torch.cat([together_a, together_b]), expected, atol=1e-5)
    assert len(together_a) == 4
