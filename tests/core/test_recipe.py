import json
from dataclasses import replace
from typing import Literal

import pytest

from likewise.core.errors import InputError
from likewise.core.recipe import FROM_DATA, Recipe, Spec, Stage, find_part, part, part_names, spec


@part("sheath", "plain")
def plain_sheath(width: int = 3) -> dict:
    return {"sheath": "plain", "width": width}


@part("sheath", "lined")
class Lined:
    def __init__(self, lining: float = 0.5, *, colours: tuple[str, ...] = ("red", "blue"), loud: bool = False) -> None:
        self.lining, self.colours, self.loud = lining, colours, loud


PLAIN = spec(plain_sheath)


@part("blade", "blade")
def make_blade(
    sheath: dict = PLAIN,
    *,
    steel: Literal["soft", "hard"] = "soft",
    length: float | None = None,
    teeth: tuple[int, int] = (1, 2),
    others: tuple[dict, ...] = (),
    channels: int = FROM_DATA,
) -> dict:
    return {
        "sheath": sheath,
        "steel": steel,
        "length": length,
        "teeth": teeth,
        "others": others,
        "channels": channels,
    }


def tool() -> Recipe:
    return Recipe(spec(make_blade), data=PLAIN, views=PLAIN, optimizer=PLAIN, schedule=PLAIN)


def test_building_builds_the_parts_inside():
    built = spec(make_blade, sheath=spec(plain_sheath, width=5), others=(spec(plain_sheath),)).build(channels=2)
    assert built["sheath"] == {"sheath": "plain", "width": 5}
    assert built["others"] == ({"sheath": "plain", "width": 3},)
    assert built["channels"] == 2


def test_a_fact_that_is_missing_or_set_by_hand():
    with pytest.raises(InputError, match="blade: channels is not known for this data; set it"):
        spec(make_blade).build()
    assert spec(make_blade, channels=7).build(channels=2)["channels"] == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lenght": 1}, "blade has no setting 'lenght'.*did you mean 'length'"),
        ({"steel": "wood"}, "steel='wood': expected one of 'soft', 'hard'"),
        ({"length": "long"}, "length='long': expected a number or none"),
        ({"length": True}, "length=True: expected a number or none"),
        ({"teeth": (1, 2, 3)}, "teeth=.*expected 2 values"),
        ({"teeth": (1, 2.5)}, "expected a whole number"),
        ({"sheath": "velvet"}, "unknown sheath 'velvet'; there are: lined, plain"),
        ({"channels": "many"}, "channels='many': expected a whole number"),
    ],
)
def test_wrong_settings_are_refused_when_written(settings, message):
    with pytest.raises(InputError, match=message):
        spec(make_blade, **settings)


def test_only_parts_make_specs():
    with pytest.raises(TypeError, match="is not a part"):
        spec(dict)


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("batch", "64", 64),
        ("epochs", "0.5", 0.5),
        ("epochs", "3", 3.0),
        ("steps", "none", None),
        ("steps", "100", 100),
        ("clip", "1e-1", 0.1),
        ("precision", "bf16-mixed", "bf16-mixed"),
        ("learner.steel", "hard", "hard"),
        ("steel", "hard", "hard"),
        ("learner.length", "2.5", 2.5),
        ("learner.length", "None", None),
        ("teeth", "4,5", (4, 5)),
        ("learner.sheath.width", "9", 9),
        ("sheath.width", "9", 9),
    ],
)
def test_set_reads_a_string_as_the_type_of_the_setting(path, text, value):
    recipe = tool()
    recipe.set(path, text)
    full = path if path in dict(recipe.walk()) else f"learner.{path}"
    found = dict(recipe.walk())[full]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("bacth", "64", "unknown setting 'bacth'; did you mean 'batch'"),
        ("batch", "many", "batch='many': expected a whole number"),
        ("batch", "6.5", "expected a whole number"),
        ("batch", "true", "expected a whole number"),
        ("precision", "64", "precision='64': expected one of '32'"),
        ("batch.size", "3", "setting 'batch' has no parts"),
        ("learner.sheat.width", "3", "blade has no setting 'sheat'.*did you mean 'sheath'"),
        ("learner.steel.width", "3", "setting 'steel' of blade has no parts"),
        ("sheath", "lind", "unknown sheath 'lind'; did you mean 'lined'"),
        ("teeth", "4,x", "expected a whole number"),
        ("sheath.width", "", "expected a whole number"),
    ],
)
def test_set_says_what_is_wrong(path, text, message):
    recipe = tool()
    with pytest.raises(InputError, match=message):
        recipe.set(path, text)


def test_set_changes_a_part_and_then_its_settings():
    recipe = tool()
    recipe.set("sheath", "lined")
    recipe.set("sheath.lining", "0.75")
    recipe.set("sheath.colours", "green,grey")
    recipe.set("sheath.loud", "yes")
    built = recipe.learner.build(channels=1)["sheath"]
    assert (built.lining, built.colours, built.loud) == (0.75, ("green", "grey"), True)


def test_setting_a_default_part_leaves_the_default_alone():
    first, second = tool(), tool()
    first.set("sheath.width", "9")
    assert second.learner.build(channels=1)["sheath"]["width"] == 3


def test_a_copy_is_its_own():
    recipe = tool()
    recipe.set("sheath.width", "4")
    copy = recipe.copy()
    copy.set("sheath.width", "9")
    copy.set("data.width", "8")
    assert dict(recipe.walk())["learner.sheath.width"] == 4
    assert "width" not in recipe.data.settings
    assert PLAIN.settings == {}


def test_json_round_trip():
    recipe = tool()
    recipe.set("sheath", "lined")
    recipe.set("sheath.colours", "green,grey")
    recipe.set("length", "2")
    recipe.learner.settings["others"] = (spec(plain_sheath, width=1), spec(Lined))
    warm = (("epochs", 2.0), ("learner.length", 1.0), ("teeth", (3, 4)), ("views", spec(Lined, lining=0.1)))
    recipe = replace(recipe, stages=(Stage("warm", warm), Stage("main")))
    text = json.dumps(recipe.to_json())
    back = Recipe.from_json(json.loads(text))
    assert json.dumps(back.to_json()) == text
    assert back.stages == recipe.stages
    assert back.for_stage(back.stages[0]).views.build().lining == 0.1
    assert back.learner.build(channels=1)["length"] == 2
    assert back.learner.build(channels=1)["others"][1].colours == ("red", "blue")


def test_a_resolved_recipe_says_everything_and_builds_the_same():
    recipe = tool()
    recipe.set("sheath.width", "4")
    resolved = recipe.resolve(channels=3)
    assert dict(resolved.walk())["learner.channels"] == 3
    assert dict(resolved.walk())["learner.teeth"] == (1, 2)
    back = Recipe.from_json(json.loads(json.dumps(resolved.to_json())))
    assert back.learner.build() == recipe.learner.build(channels=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "unknown settings \\['colour'\\]"),
        ({"batch": "many"}, "batch='many': expected a whole number"),
        ({"batch": None}, "batch=None: expected a whole number"),
        ({"precision": "64"}, "expected one of '32'"),
        ({"views": "plain"}, "views='plain': expected"),
        ({"learner": {"kind": "blade", "part": "sabre"}}, "unknown blade 'sabre'"),
        ({"learner": {"kind": "blade", "part": "blade", "settings": {"lenght": 1}}}, "no setting 'lenght'"),
        ({"learner": {"kind": "blade", "part": "blade", "settings": {"steel": "wood"}}}, "expected one of"),
    ],
)
def test_a_recipe_file_can_name_registered_parts_only(change, message):
    with pytest.raises(InputError, match=message):
        Recipe.from_json(tool().to_json() | change)


def test_stages_change_their_own_settings():
    recipe = replace(tool(), stages=(Stage("warm", (("epochs", 2), ("sheath.width", 7))), Stage("main")))
    warm = recipe.for_stage(recipe.stages[0])
    assert warm.epochs == 2
    assert warm.learner.build(channels=1)["sheath"]["width"] == 7
    assert warm.stages == ()
    assert recipe.for_stage(recipe.stages[1]).learner.build(channels=1)["sheath"]["width"] == 3


def test_two_parts_of_one_name_are_refused_but_a_reload_is_not():
    with pytest.raises(ValueError, match="two sheath parts are named 'plain'"):
        part("sheath", "plain")(lambda: None)

    def again(width: int = 3) -> dict:
        return {}

    again.__module__, again.__qualname__ = plain_sheath.__module__, plain_sheath.__qualname__
    part("sheath", "plain")(again)
    assert find_part("sheath", "plain") is again
    part("sheath", "plain")(plain_sheath)
    assert part_names("sheath") == ["lined", "plain"]


def test_a_missing_setting_is_named():
    @part("scabbard")
    def scabbard(width: int) -> int:
        return width

    with pytest.raises(InputError, match="scabbard: setting 'width' is missing"):
        spec(scabbard).build()
    assert isinstance(spec(scabbard, width="4"), Spec)
    assert spec(scabbard, width="4").build() == 4
