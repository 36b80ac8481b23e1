"""What holds for all of them: recipes build, teachers take no gradient, embed gives the encoder's features."""

import pytest
import torch
from torch import nn

from likewise.core.batch import Batch
from likewise.core.learner import Context, Learner
from likewise.core.registry import listings, load
from likewise.parts.momentum import Momentum

SLUGS = [slug for slug, found in listings().items() if found.module.startswith("likewise.methods.image.")]


@pytest.mark.parametrize("size", ["tiny", "small", "paper"])
@pytest.mark.parametrize("slug", SLUGS)
def test_recipes_build_down_to_the_optimizer(slug, size) -> None:
    recipe = load(slug).recipe(size)
    facts = {"channels": 3, "image_size": 32, "num_samples": 1_281_167, "steps": 100, "batch": recipe.batch}
    with torch.device("meta"):  # shapes only: the paper's heads have hundreds of millions of weights
        learner = recipe.learner.build(**facts)
    optimizer = recipe.optimizer.build(**facts)(learner.groups())
    schedule = recipe.schedule.build(**facts)
    recipe.views.build(**facts)
    assert all(0 < schedule(50, 100, g["name"]) <= 1 for g in optimizer.param_groups)
    assert recipe.resolve(**facts).to_json() == type(recipe).from_json(recipe.resolve(**facts).to_json()).to_json()


@pytest.mark.parametrize("slug", SLUGS)
def test_groups_cover_what_trains_once_and_no_teacher(slug, build) -> None:
    learner = build(slug)
    grouped = [id(p) for group in learner.groups().values() for p in group]
    teachers = {id(p) for m in learner.modules() if isinstance(m, Momentum) for p in m.parameters()}
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in learner.parameters() if p.requires_grad}
    assert not set(grouped) & teachers
    assert bool(teachers) == ("momentum encoder" in load(slug).card.traits.memory)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_step_gives_every_trained_weight_a_gradient_and_the_teacher_none(slug, build, batch, train) -> None:
    learner = build(slug)
    out = train(learner, batch())
    assert out.loss.isfinite()
    assert out.loss.shape == ()
    without = [n for n, p in learner.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    assert all(p.grad is None for m in learner.modules() if isinstance(m, Momentum) for p in m.parameters())
    assert not any(t.requires_grad for t in out.carry.values())


@pytest.mark.parametrize("slug", SLUGS)
def test_embed_gives_the_encoders_features(slug, build, batch) -> None:
    learner = build(slug).eval()
    view = batch().views["a"]
    assert torch.equal(learner.embed(view), learner.encoder(view))
    assert learner.embed(view).shape == (8, 32)


@pytest.mark.parametrize("slug", SLUGS)
def test_only_methods_that_say_so_look_at_labels(slug, build, batch) -> None:
    learner, plain = build(slug, encoder__norm="group"), batch()
    other = Batch(plain.views, plain.ids, (plain.labels * 3) % 2 + torch.arange(8) // 4)
    losses = []
    for rows in (plain, other):
        torch.manual_seed(0)
        losses.append(_loss(learner, rows))
    assert (losses[0] == losses[1]) == ("labels" not in load(slug).card.traits.needs)


def _loss(learner: Learner, rows: Batch) -> float:
    from likewise.core.comm import Collective

    with torch.no_grad():
        return float(learner.objective(learner.encode(rows), rows, Collective()).loss)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_saved_learner_goes_on_as_if_nothing_had_happened(slug, build, batch, train) -> None:
    first, second = build(slug), build(slug)
    _start(first), _start(second)
    train(first, batch(0), 0)
    torch.manual_seed(5)
    second.load_state_dict(first.state_dict())
    losses = []
    for learner in (first, second):
        torch.manual_seed(7)
        losses.append([train(learner, batch(seed), seed).loss.item() for seed in (1, 2)])
    assert losses[0] == losses[1]


def _start(learner: nn.Module) -> None:
    """Begin an epoch, for methods that cluster."""
    from likewise.core.comm import Collective

    view = torch.randn(40, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        learner.on_epoch(Context(0, 10, 0, 2.0, Collective(), {}, lambda function: function(view)))
    learner.train()
