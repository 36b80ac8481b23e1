"""TS2Vec and AutoTCL: their views, networks and turns."""

import pytest
import torch

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.learner import Context
from likewise.core.registry import load
from likewise.parts.averaging import WeightAverage
from likewise.parts.encoders import Dilated
from likewise.parts.gates import HardConcrete, SeriesAugmenter
from likewise.parts.series import start_of
from likewise.views.series import JitterScaling, OverlappingCrops, SeriesAndDraws

FACTS = {"channels": 2, "center": (0.0, 0.0), "spread": (1.0, 1.0)}
SCALE = {"center": (0.0, 0.0), "spread": (1.0, 1.0)}


def learner(slug, **settings):
    torch.manual_seed(0)
    recipe = load(slug).recipe("tiny").copy()
    for name, value in settings.items():
        recipe.set(f"learner.{name}".replace("__", "."), value)
    return recipe.learner.build(**FACTS).train()


def counted(n=4, t=30):
    """Series whose first channel is the time step, whose second is the number of the series."""
    time = torch.arange(t, dtype=torch.float32).expand(n, t)
    return torch.stack([time, torch.arange(float(n))[:, None].expand(n, t)], 2)


# --- views ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", range(30))
def test_crops_share_the_steps_that_they_say(epoch):
    views = OverlappingCrops(**SCALE, shortest=4)
    made = views({"series": counted()}, Draws(0, epoch, torch.arange(4)))
    a, b, overlap = made["a"], made["b"], int(made["overlap"][0])
    assert overlap >= 4
    assert torch.equal(a[:, -overlap:], b[:, :overlap])
    steps = a[:, 1:, 0] - a[:, :-1, 0]
    assert (steps == 1).all()
    assert (a[:, :, 1] == torch.arange(4.0)[:, None]).all()
    assert len(made["overlap"].unique()) == 1


def test_crops_come_in_all_lengths_and_places():
    views = OverlappingCrops(**SCALE)
    made = [views({"series": counted()}, Draws(0, epoch, torch.arange(4))) for epoch in range(200)]
    lengths = {int(m["overlap"][0]) for m in made}
    assert min(lengths) == 2
    assert max(lengths) >= 28
    assert min(float(m["a"].min()) for m in made) == 0
    assert max(float(m["b"][..., 0].max()) for m in made) == 29
    apart = [m["a"][:, 0, 0] for m in made if m["a"].shape[1] < 15]
    assert any(len(places.unique()) > 1 for places in apart)


def test_a_view_of_a_series_stays_the_same_in_another_batch():
    x = counted(6)
    for views in (JitterScaling(**SCALE, length=9), SeriesAndDraws(**SCALE, length=9)):
        whole = views({"series": x}, Draws(0, 1, torch.arange(6)))
        part = views({"series": x[[4, 2]]}, Draws(0, 1, torch.tensor([4, 2])))
        for name, value in part.items():
            assert torch.equal(value, whole[name][[4, 2]])
        assert whole["a"].shape == (6, 9, 2)
        assert torch.equal(views.plain({"series": x})["series"], x)


def test_views_bring_channels_to_the_scale_of_the_training_part():
    views = JitterScaling(center=(10.0, 0.0), spread=(2.0, 1.0), jitter=0.0, scale=0.0)
    made = views({"series": counted()}, Draws(0, 0, torch.arange(4)))
    assert torch.equal(made["a"][..., 0], (counted()[..., 0] - 10) / 2)
    assert torch.equal(made["a"], made["b"])
    with pytest.raises(InputError, match="series of 2 channels; the run was trained on 1"):
        JitterScaling(center=(0.0,), spread=(1.0,)).plain({"series": counted()})
    with pytest.raises(InputError, match="for time series; the data has image"):
        views.plain({"image": counted()})


def test_missing_values_stay_missing_through_views():
    x = counted()
    x[1, 5] = torch.nan
    made = JitterScaling(**SCALE)({"series": x}, Draws(0, 0, torch.arange(4)))
    assert torch.equal(made["b"].isnan(), x.isnan())


def test_series_shorter_than_the_shortest_crop_are_refused():
    with pytest.raises(InputError, match="series of 30 steps; the two crops share at least 64"):
        OverlappingCrops(**SCALE, shortest=64)({"series": counted()}, Draws(0, 0, torch.arange(4)))


# --- encoder ----------------------------------------------------------------------------------------------------------


def test_the_encoder_sees_as_far_as_its_dilations_reach():
    """Two convolutions of size 3 at each dilation 1, 2, 4: 14 steps to each side."""
    torch.manual_seed(0)
    encoder = Dilated(dim=4, hidden=4, depth=2, channels=1).eval().double()
    x = torch.randn(1, 61, 1, dtype=torch.float64, requires_grad=True)
    encoder.steps(x)[0, 30].sum().backward()
    seen = x.grad[0, :, 0].nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == (16, 44)
    assert encoder.reach == 14
    assert encoder.steps(x).shape == (1, 61, 4)
    assert torch.equal(encoder(x), encoder.steps(x).amax(1))


def test_trends_see_the_past_alone():
    torch.manual_seed(0)
    encoder = Dilated(dim=4, hidden=4, depth=0, channels=1, trends=(1, 2, 8)).eval().double()
    x = torch.randn(1, 41, 1, dtype=torch.float64, requires_grad=True)
    encoder.steps(x)[0, 20].sum().backward()
    seen = x.grad[0, :, 0].nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == (20 - 7 - 2, 22)
    assert encoder.reach == 9


def test_steps_with_a_missing_value_enter_as_nothing():
    torch.manual_seed(0)
    encoder = Dilated(dim=4, hidden=4, depth=1, channels=2).eval()
    x = torch.randn(1, 12, 2)
    x[0, 6, 0] = torch.nan
    other = x.clone()
    other[0, 6, 1] = 100.0  # the other channel of that step
    assert torch.equal(encoder.steps(x), encoder.steps(other))
    assert encoder.steps(x).isfinite().all()


def test_time_is_masked_in_training_only():
    torch.manual_seed(0)
    encoder = Dilated(dim=4, hidden=4, depth=1, channels=2, dropout=0.0, mask=0.5)
    x = torch.randn(2, 400, 2)
    seen = []
    encoder.blocks.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    encoder.train().steps(x)
    encoder.eval().steps(x)
    masked = (seen[0] == 0).all(1)
    assert 0.4 < float(masked.float().mean()) < 0.6
    assert torch.equal(seen[0][:, :, ~masked[0]][0], seen[1][:, :, ~masked[0]][0])
    assert not (seen[1] == 0).all(1).any()


def test_ts2vec_contrasts_the_shared_steps():
    made = learner("ts2vec").eval()
    x = torch.randn(3, 30, 2)
    views = {"a": x[:, 2:22], "b": x[:, 10:29], "overlap": torch.full((3,), 12)}
    z = made.encode(Batch(views, torch.arange(3)))
    assert torch.equal(z["a"], made.encoder.steps(x[:, 2:22])[:, 8:])
    assert torch.equal(z["b"], made.encoder.steps(x[:, 10:29])[:, :12])
    with pytest.raises(InputError, match="instance=2"):
        learner("ts2vec", instance=2.0)


def test_the_mean_of_all_weights_is_what_is_used():
    torch.manual_seed(0)
    network = torch.nn.Linear(2, 1)
    average, seen = WeightAverage(network), []
    x = torch.randn(3, 2)
    assert torch.equal(average(x), network(x))
    for value in (1.0, 2.0, 6.0):
        with torch.no_grad():
            network.weight.fill_(value)
        seen.append(value)
        average.update(network)
        assert average.network.weight.tolist() == [[pytest.approx(sum(seen) / len(seen))] * 2]
    assert not any(p.requires_grad for p in average.parameters())


# --- AutoTCL ----------------------------------------------------------------------------------------------------------


def test_the_gate_is_hard_forwards_and_soft_backwards():
    weight = torch.linspace(-3, 3, 50, dtype=torch.float64).requires_grad_()
    uniform = torch.rand(50, dtype=torch.float64)
    hard, soft = HardConcrete(hard=True), HardConcrete(hard=False)
    mask = hard(weight, uniform)
    assert set(mask.detach().round(decimals=9).tolist()) == {0.0, 1.0}
    by_hard, by_soft = (torch.autograd.grad(gate(weight, uniform).sum(), weight)[0] for gate in (hard, soft))
    assert torch.equal(by_hard, by_soft)
    assert float(soft(torch.tensor([-20.0]), torch.tensor([0.5]))) == 0.0  # stretched beyond, and clipped
    with pytest.raises(InputError, match=r"bias=1\.0 must lie between 0 and 1"):
        HardConcrete(bias=1.0)


def test_a_learned_view_keeps_missing_steps_and_finite_gradients():
    torch.manual_seed(0)
    augmenter = SeriesAugmenter(channels=2, dim=4, hidden=4, depth=1, hard=False)
    x = torch.randn(2, 10, 2)
    x[0, 3, 1] = torch.nan
    view, weight = augmenter(x, torch.rand(2, 10, 2))
    assert view[0, 3].isnan().all()
    assert int(view.isnan().sum()) == 2
    assert ((weight > 0) & (weight < 1)).all()
    view.nansum().backward()
    assert all(p.grad.isfinite().all() for p in augmenter.parameters())
    present = ~x.isnan().any(2)
    assert (view.abs() <= x.abs())[present].all()  # masks and factors only ever take away


def series_batch(n=6, t=20):
    views = SeriesAndDraws(**SCALE)
    x = torch.randn(n, t, 2, generator=torch.Generator().manual_seed(1))
    return Batch(views({"series": x}, Draws(0, 0, torch.arange(n))), torch.arange(n))


def test_two_optimisers_move_two_networks():
    made, batch = learner("autotcl", every=3), series_batch()
    encoder, augmenter = made.phases()
    assert (encoder.every, augmenter.every) == (1, 3)
    assert set(made.groups()) == set(encoder.groups) | set(augmenter.groups) == {"encoder", "augmenter"}
    encoder.objective(encoder.encode(batch), batch, Collective()).loss.backward()
    # the encoder's loss reaches the augmenter, too, but the turn's optimiser moves the encoder alone
    assert all(p.grad is not None for p in made.encoder.parameters())
    made.zero_grad()
    augmenter.objective(augmenter.encode(batch), batch, Collective()).loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in made.augmenter.parameters())


def test_each_turn_has_draws_of_its_own_and_the_augmenters_an_encoder_at_rest():
    made, batch = learner("autotcl", encoder__dropout=0.9), series_batch()
    torch.manual_seed(0)
    one = made.encode_for_augmenter(batch)
    two = made.encode_for_augmenter(batch)
    assert torch.equal(one["a"], two["a"])  # no dropout
    assert made.encoder.training
    assert made.encoder.dropout.training
    first, second = (made.eval().view(batch.views["b"], turn)[0] for turn in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(made.embed(batch.views["b"], "b"), made.average(first))


def test_the_adversarial_augmenter_fights_the_encoder():
    made, batch = learner("autotcl", goal="adversarial", kept_weight=0.0, consistency_weight=0.0), series_batch()
    z = made.eval().encode_for_augmenter(batch)
    loss = made.augmenter_objective(z, batch, Collective()).loss
    assert loss.item() == pytest.approx(-made.loss.across(z["a"], z["b"]).item())


def test_segments_start_wherever_they_fit():
    places = torch.linspace(0, 0.9999999, 1000)
    assert set(start_of(places, 20, 6).tolist()) == {0, 1, 2}
    assert set(start_of(places, 20, 5).tolist()) == {0}


def test_the_baseline_differs_in_its_views_alone():
    """Given the same representations, autotcl's encoder and infonce-series have one loss."""
    ours, theirs = learner("autotcl"), learner("infonce-series")
    z = {name: torch.randn(6, 20, 16) for name in ("a", "b")}
    batch = series_batch()
    places = batch.views["places"]
    other = Batch({"place": places[:, 0]}, batch.ids)
    found = [ours.objective(z, batch, Collective()).loss, theirs.objective(z, other, Collective()).loss]
    assert torch.equal(*found)
    small = [load(slug).recipe("small") for slug in ("autotcl", "infonce-series")]
    for name in ("data", "optimizer", "schedule", "batch", "steps"):
        assert getattr(small[0], name) == getattr(small[1], name), name
    assert small[0].learner.settings["encoder"] == small[1].learner.settings["encoder"]


def test_the_weights_are_averaged_after_every_step():
    made = learner("autotcl")
    with torch.no_grad():
        for p in made.encoder.parameters():
            p.fill_(1.0)
        made.after_update(Context(1, 10, 0, 1.0, Collective()))
        for p in made.encoder.parameters():
            p.fill_(3.0)
        made.after_update(Context(2, 10, 0, 1.0, Collective()))
    assert all((p == 2.0).all() for p in made.average.parameters())
