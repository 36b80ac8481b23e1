import sys
import types

import pytest
import torch
from torch import nn

from likewise.core.errors import InputError, MissingExtraError
from likewise.core.recipe import spec
from likewise.parts.encoders import ConvNet, Timm, ViT, resnet18, resnet50
from likewise.parts.encoders.vit import grid_positions

CASES = [
    pytest.param(spec(ConvNet, dim=32), 32, (8, 28, 64), id="convnet"),
    pytest.param(spec(ConvNet, dim=32, norm="group"), 32, (16,), id="convnet-group"),
    pytest.param(spec(ConvNet, dim=32, norm="none"), 32, (16,), id="convnet-none"),
    pytest.param(spec(resnet18, width=8), 64, (16, 33), id="resnet18"),
    pytest.param(spec(resnet18, width=8, stem="imagenet"), 64, (64,), id="resnet18-imagenet"),
    pytest.param(spec(resnet50, width=8, stem="cifar"), 256, (16,), id="resnet50"),
    pytest.param(spec(ViT, patch=4, depth=2, dim=32, heads=2), 32, (16, 28), id="vit"),
]


@pytest.mark.parametrize(("encoder", "dim", "sizes"), CASES)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_encoder_maps_images_to_rows_of_its_width(encoder, dim, sizes, channels) -> None:
    built = encoder.build(channels=channels)
    assert built.dim == dim
    for size in sizes:
        out = built(torch.randn(3, channels, size, size))
        assert out.shape == (3, dim)
        assert out.isfinite().all()
        out.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in built.parameters())


@pytest.mark.parametrize(("encoder", "dim", "sizes"), CASES)
def test_weights_are_decided_by_the_global_seed(encoder, dim, sizes) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in encoder.build(channels=1).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("encoder", "independent"),
    [
        (spec(ConvNet, dim=32, norm="batch"), False),
        (spec(ConvNet, dim=32, norm="group"), True),
        (spec(ConvNet, dim=32, norm="none"), True),
        (spec(ViT, patch=4, depth=2, dim=32, heads=2), True),
    ],
)
def test_only_batch_norm_mixes_rows(encoder, independent) -> None:
    built, x = encoder.build(channels=1), torch.randn(4, 1, 16, 16)
    alone, among = built(x[:2]), built(x)[:2]
    assert torch.allclose(alone, among, atol=1e-5) == independent


def test_published_sizes() -> None:
    def count(net: nn.Module) -> int:
        return sum(p.numel() for p in net.parameters())

    # torchvision's models without the classifiers of 512 x 1000 + 1000 and 2048 x 1000 + 1000
    assert count(resnet18(3, stem="imagenet")) == 11_689_512 - 513_000
    assert count(resnet50(3, stem="imagenet")) == 25_557_032 - 2_049_000


def test_resnet_stems_divide_the_image_as_they_should() -> None:
    cifar, imagenet = resnet18(3, width=8), resnet18(3, stem="imagenet", width=8)
    x = torch.zeros(1, 3, 64, 64)
    assert cifar.stages(cifar.stem(x)).shape[-2:] == (8, 8)
    assert imagenet.stages(imagenet.stem(x)).shape[-2:] == (2, 2)


def test_zero_init_makes_residual_blocks_start_as_the_identity() -> None:
    x = torch.rand(2, 8, 5, 5)  # not negative, so that the ReLU changes nothing
    assert torch.equal(resnet18(1, width=8).stages[0](x), x)
    assert not torch.equal(resnet18(1, width=8, zero_init=False).stages[0](x), x)


def test_vit_positions_tell_patches_apart() -> None:
    positions = grid_positions(3, 5, 16)
    assert positions.shape == (15, 16)
    assert torch.cdist(positions, positions).add(10 * torch.eye(15)).min() > 0.1
    # the row half repeats along a row, the column half along a column
    grid = positions.view(3, 5, 16)
    assert torch.equal(grid[0, :, 8:], grid[0, :1, 8:].expand(5, 8))
    assert torch.equal(grid[:, 0, :8], grid[:1, 0, :8].expand(3, 8))


def test_vit_tokens_average_to_its_features() -> None:
    vit, x = ViT(patch=4, depth=1, dim=16, heads=2, channels=1), torch.randn(2, 1, 12, 8)
    tokens, mask = vit.tokens(x)
    assert tokens.shape == (2, 6, 16)
    assert mask.shape == (2, 6)
    assert mask.all()
    assert torch.equal(tokens.mean(1), vit(x))


def test_vit_can_hold_its_patch_projection_still() -> None:
    vit = ViT(patch=4, depth=1, dim=16, heads=2, channels=1, freeze_patches=True)
    held = {name for name, p in vit.named_parameters() if not p.requires_grad}
    assert held == {"patches.weight", "patches.bias"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ConvNet(dim=30, channels=1), "multiple of 4"),
        (lambda: ViT(dim=30, channels=1), "multiple of 4"),
        (lambda: ViT(dim=32, heads=5, channels=1), "heads=5"),
        (lambda: ViT(patch=5, channels=1)(torch.zeros(1, 1, 28, 28)), "do not tile an image of 28 x 28"),
    ],
)
def test_impossible_settings_are_refused(make, says) -> None:
    with pytest.raises(InputError, match=says):
        make()


def test_timm_says_what_to_install_when_it_is_absent(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'likewise\[vision\]'"):
        Timm("resnet18", channels=3)


class _Headless(nn.Module):
    def __init__(self, in_chans: int, num_classes: int, pretrained: bool, img_size: int = 8) -> None:
        super().__init__()
        assert num_classes == 0
        assert not pretrained
        self.num_features = 4 * img_size
        self.layer = nn.Linear(in_chans * img_size**2, self.num_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1))


def test_timm_models_are_built_without_classifier(monkeypatch) -> None:
    # a stand-in with the three functions of timm that are used: timm itself is an extra
    fake = types.SimpleNamespace(
        is_model=lambda name: name == "resnet18",
        list_models=lambda: ["resnet18"],
        create_model=lambda name, **settings: _Headless(**settings),
    )
    monkeypatch.setitem(sys.modules, "timm", fake)
    assert Timm("resnet18", channels=2)(torch.zeros(3, 2, 8, 8)).shape == (3, 32)
    assert Timm("resnet18", channels=2, size=4).dim == 16
    with pytest.raises(InputError, match="did you mean 'resnet18'"):
        Timm("resnet81", channels=2)
