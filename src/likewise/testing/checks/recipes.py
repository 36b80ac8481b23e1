"""What a recipe promises."""

import json
import typing

import torch

from likewise.core.learner import Learner
from likewise.core.recipe import Recipe
from likewise.testing.contract import check
from likewise.testing.subject import Subject, expect

SIZES = ("tiny", "small", "paper")


@check()
def recipes_come_in_three_sizes(subject: Subject) -> None:
    """There is a recipe for tests, one for a laptop, and the paper's."""
    missing = [size for size in SIZES if size not in subject.method.recipes]
    expect(not missing, f"no recipe of size {', '.join(missing)}")


@check()
def recipes_survive_json(subject: Subject) -> None:
    """Every recipe is the same after a trip through its file."""
    for size in subject.method.recipes:
        recipe = subject.method.recipe(size)
        expect(recipe.learner.make is subject.method.cls, f"{size} trains {recipe.learner.make}, not this method")
        plain = json.loads(json.dumps(recipe.to_json()))
        expect(json.loads(json.dumps(Recipe.from_json(plain).to_json())) == plain, f"{size} differs after JSON")


@check()
def resolved_recipe_builds_the_same(subject: Subject) -> None:
    """The resolved recipe that a run saves rebuilds the same learner, with nothing left to the data."""
    plan = subject.plan
    back = Recipe.from_json(json.loads(json.dumps(plan.recipe.to_json())))
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        again: Learner = back.learner.build()
    expect(isinstance(again, Learner), f"{type(again).__name__} is no Learner")
    ours, theirs = plan.learner().state_dict(), again.state_dict()
    expect(list(ours) == list(theirs), "the rebuilt learner has other weights")
    other = [key for key in ours if not torch.equal(ours[key], theirs[key])]
    expect(not other, f"the rebuilt learner starts from another {', '.join(other[:3])}")


@check()
def settings_have_types(subject: Subject) -> None:
    """Every setting has a type, so that the command line can check what people give."""
    init = typing.cast(typing.Any, subject.method.cls).__init__
    hints = typing.get_type_hints(init)
    names = init.__code__.co_varnames[1 : init.__code__.co_argcount + init.__code__.co_kwonlyargcount]
    untyped = [name for name in names if name not in hints]
    expect(not untyped, f"settings without a type: {', '.join(untyped)}")


@check()
def temperatures_are_positive(subject: Subject) -> None:
    """A temperature of 0 or less is refused when the learner is built."""
    plan = subject.plan
    for name, value in dict(plan.recipe.learner.settings).items():
        if not name.endswith("temperature") or not isinstance(value, float):
            continue
        for wrong in (0.0, -0.5):
            recipe = plan.recipe.copy()
            recipe.set(f"learner.{name}", wrong)
            try:
                recipe.learner.build(**plan.facts)
            except ValueError as error:
                expect(name.split("_")[-1] in str(error), f"{name}={wrong}: the error does not name it: {error}")
                continue
            expect(False, f"{name}={wrong} is accepted")
