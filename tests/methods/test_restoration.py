"""PCL-SR and EDSR: what learns from what, and what comes out."""

import pytest
import torch

from likewise.api import prepare
from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.evaluate.restoration import Restoration
from likewise.parts.encoders.sr import EDSR, enlarge
from likewise.parts.wavelets import HaarPatches


def plan(method, *settings):
    return prepare(method, size="tiny", settings=[("data.limit", 40), *settings])


def batch_of(made, n=4):
    from likewise.core.batch import Batch

    ids = torch.arange(n)
    views = made.views()(made.dataset.take(made.dataset.train_rows[ids]), Draws(0, 0, ids))
    return Batch(views, ids)


def gradients(learner, phase, batch):
    learner.zero_grad(set_to_none=True)
    phase.objective(phase.encode(batch), batch, Collective()).loss.backward()
    return {
        group: sum(float(p.grad.abs().sum()) for p in held if p.grad is not None)
        for group, held in learner.groups().items()
    }


def test_the_contrast_reaches_the_network_through_a_discriminator_that_is_held():
    made = plan("pcl-sr")
    learner, batch = made.learner(), batch_of(made)
    discriminator, network = learner.phases()
    for p in learner.discriminator.parameters():
        p.requires_grad_(False)  # as the trainer does in this phase
    z = network.encode(batch)
    contrast = learner.contrast(z["anchor2"], z["positive2"], z["negative2"])
    contrast.backward()
    assert learner.encoder.tail.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in learner.discriminator.parameters())
    assert not z["positive2"].requires_grad
    for p in learner.discriminator.parameters():
        p.requires_grad_(True)
    found = gradients(learner, discriminator, batch)
    assert found["encoder"] == 0 < found["discriminator"]


def test_as_released_the_contrast_has_no_gradient():
    losses = {}
    for variant in ("paper", "code"):
        made = plan("pcl-sr", ("variant", variant))
        learner, batch = made.learner(), batch_of(made)
        z = learner.encode(batch)
        losses[variant] = float(learner.objective(z, batch, Collective()).loss.detach())
        assert z["anchor2"].requires_grad is (variant == "paper")
    assert losses["paper"] == losses["code"]


def test_positives_are_the_true_and_sharper_pictures_and_negatives_the_blurred_and_the_enlarged():
    made = plan("pcl-sr", ("views.better", 3))
    learner, batch = made.learner(), batch_of(made)
    z = learner.eval().encode(batch)
    assert z["positive2"].shape[:2] == z["negative2"].shape[:2] == (4, 4)
    high, low = batch.views["high"], batch.views["low"]
    features = learner.discriminator.features
    assert torch.allclose(z["positive2"][:, 0], features(high, (2,))[0], atol=1e-5)
    assert torch.allclose(z["positive2"][:, 2], features(batch.views["sharp"][:, 1], (2,))[0], atol=1e-5)
    up = torch.nn.functional.interpolate(low, scale_factor=2, mode="bicubic", align_corners=True).clamp(0, 1)
    assert torch.allclose(z["negative2"][:, 0], features(up, (2,))[0], atol=1e-4)
    assert torch.allclose(z["negative2"][:, 3], features(batch.views["blurred"][:, 2], (2,))[0], atol=1e-5)


def test_the_discriminator_does_not_see_the_enlarged_picture_as_fake():
    made = plan("pcl-sr")
    learner, batch = made.learner(), batch_of(made)
    z = learner.encode_for_discriminator(batch)
    assert z["real"].shape == z["fake"].shape == (4, 3 * 4)  # true and 2 sharper; 2 blurred and restored; 4 patches
    other = dict(batch.views) | {"blurred": batch.views["high"][:, None].expand(-1, 2, -1, -1, -1)}
    batch.views = other
    assert torch.equal(learner.encode_for_discriminator(batch)["real"], z["real"])
    assert not torch.equal(learner.encode_for_discriminator(batch)["fake"], z["fake"])


@pytest.mark.parametrize("kind", ["infonce", "lmcl", "l1", "l2", "cosine"])
def test_every_contrast_is_lower_for_the_true_picture_than_for_a_blurred_one(kind):
    made = plan("pcl-sr", ("contrast", kind))
    learner, batch = made.learner().eval(), batch_of(made)
    z = learner.encode(batch)
    good, bad = (
        learner.contrast(z[name][:, k], z["positive2"], z["negative2"])
        for name, k in (("positive2", 0), ("negative2", 2))
    )
    assert good < bad


def test_shuffling_adds_the_negatives_of_other_pictures():
    made = plan("pcl-sr", ("shuffle", True))
    learner, plain = made.learner(), plan("pcl-sr").learner()
    maps = torch.randn(4, 5, 2, 2), torch.randn(4, 1, 5, 2, 2), torch.randn(4, 3, 5, 2, 2)
    same = torch.randn(1, 3, 5, 2, 2).expand(4, -1, -1, -1, -1)
    assert learner.contrast(*maps) > plain.contrast(*maps)
    twice = plain.contrast(maps[0], maps[1], torch.cat([same, same], 1))
    assert float(learner.contrast(maps[0], maps[1], same)) == pytest.approx(float(twice), abs=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_the_network_starts_as_bicubic_and_takes_pictures_of_any_size(factor):
    net = EDSR(dim=4, blocks=1, factor=factor, channels=3)
    low = torch.rand(2, 3, 5, 7)
    assert torch.equal(net.restore(low), enlarge(low, factor))
    assert net.restore(low).shape == (2, 3, 5 * factor, 7 * factor)
    assert net(low).shape == (2, 4)


def test_a_large_picture_is_restored_in_tiles_without_a_seam():
    learner = plan("edsr").learner().eval()
    for p in learner.parameters():
        torch.nn.init.normal_(p, std=0.2)
    low = torch.rand(1, 1, 45, 61)
    with torch.no_grad():
        whole, tiled = learner.restore(low), learner.restore(low, tile=16)
    assert 0.05 < whole.mean() < 0.95
    assert torch.allclose(whole, tiled, atol=1e-5)


def test_the_discriminators_widths_and_patches():
    net = HaarPatches(width=4, blocks=7, patches=4, channels=3)
    found = net.features(torch.rand(2, 3, 64, 64), tuple(range(8)))
    assert [x.shape[1] for x in found] == [4, 4, 8, 8, 16, 16, 32, 32]
    assert [x.shape[2] for x in found] == [32, 16, 16, 8, 8, 4, 4, 2]
    assert net(torch.rand(2, 3, 64, 64)).shape == (2, 16)


def test_factors_that_disagree_are_refused():
    made = plan("edsr", ("views.factor", 4))
    with pytest.raises(InputError, match="4 times smaller and the network makes them 2 times larger"):
        made.learner().encode(batch_of(made))
    with pytest.raises(InputError, match="4 times smaller and the network makes them 2 times larger"):
        Restoration(limit=4).evaluate(made.learner(), made.views(), made.dataset)
    with pytest.raises(InputError, match="blocks 0 to 2"):
        plan("pcl-sr", ("layers", (7,))).learner()


def test_the_untrained_network_measures_as_bicubic_and_the_pictures_are_written(tmp_path):
    made = plan("edsr")
    learner = made.learner()
    found = Restoration(limit=20).evaluate(learner, made.views(), made.dataset)
    assert found["test_rows"] == 20
    for name in ("psnr", "ssim", "detail_error"):
        assert found[name] == found[f"{name}_bicubic"]
    learner.restore = lambda low: made.views().whole(made.dataset.take(made.dataset.test_rows[:20]))
    perfect = Restoration(limit=20).evaluate(learner, made.views(), made.dataset)
    assert (perfect["psnr"], perfect["ssim"], perfect["detail"]) == (100, pytest.approx(1), 1)
    Restoration().illustrate(made.learner(), made.views(), made.dataset, tmp_path)
    from PIL import Image

    with Image.open(tmp_path / "pictures.png") as strip:
        assert strip.size == (3 * 112 + 2 * 4, 16 + 8 * 112 + 7 * 4)
