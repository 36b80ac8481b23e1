import sys
import textwrap

import pytest

from likewise.core import registry
from likewise.core.card import Card, Claim, Traits
from likewise.core.errors import InputError, MissingExtraError, near, require

SOURCE = '''
"""A method file."""
from likewise.core.card import Card, Claim, Traits
from likewise.core.learner import Learner
from likewise.core.registry import recipe, register
import a_package_that_nobody_has

@register(Card(
    slug="{slug}", title="T" "itle", name="N", paper="arXiv:2110.06848", year=2021, modality="image", task="t",
    contrasts="c", pick="p", equation=r"\\frac{{a}}{{b}}",
    traits=Traits(splits="mean", min_batch=-1, needs=("labels",)),
    claim=Claim("says", "digits", "knn", "other", settings=(("batch", 8), ("epochs", 1.5))),
    waivers=(("check", "reason"),),
))
class Method(Learner):
    def __init__(self, encoder, width: int = 2 ** 4, *, dim: int = 8, encoder_b, rate: float = 1e-3) -> None:
        pass

@recipe(Method)
def tiny(): ...

@recipe(Method)
def method_paper(): ...

def helper(): ...
'''


def write(tmp_path, text, name="method.py"):
    file = tmp_path / name
    file.write_text(textwrap.dedent(text))
    return file


def test_a_card_is_read_without_running_its_file(tmp_path):
    (found,) = registry.read_source(write(tmp_path, SOURCE.format(slug="x")), "pkg.method")
    assert found.card == Card(
        slug="x",
        title="Title",
        name="N",
        paper="arXiv:2110.06848",
        year=2021,
        modality="image",
        task="t",
        contrasts="c",
        pick="p",
        equation=r"\frac{a}{b}",
        traits=Traits(splits="mean", min_batch=-1, needs=("labels",)),
        claim=Claim("says", "digits", "knn", "other", settings=(("batch", 8), ("epochs", 1.5))),
        waivers=(("check", "reason"),),
    )
    assert found.module == "pkg.method"
    assert found.sizes == ("tiny", "paper")
    assert found.knobs == (("width", "2 ** 4"), ("dim", "8"), ("rate", "0.001"))
    assert "a_package_that_nobody_has" not in sys.modules


def test_knobs_of_a_class_without_init_are_those_of_its_base(tmp_path):
    text = SOURCE.format(slug="x") + textwrap.dedent(
        """
        @register(Card(slug="y", title="", name="", paper="", year=1, modality="", task="", contrasts="", pick="",
                       equation=""))
        class Other(Method):
            pass
        """
    )
    first, second = registry.read_source(write(tmp_path, text))
    assert second.knobs == first.knobs
    assert second.sizes == ()


@pytest.mark.parametrize("value", ["1 + WIDTH", "open('x').name", "f'{x}'", "Card(**kwargs)", "[x for x in y]"])
def test_a_card_holds_literals_only(tmp_path, value):
    text = f"@register(Card(slug={value}))\nclass M: pass"
    with pytest.raises(ValueError, match=r"method\.py:1: a card holds literals only"):
        registry.read_source(write(tmp_path, text))


def test_two_files_with_one_slug_are_refused(tmp_path, monkeypatch):
    files = [("one", write(tmp_path, SOURCE.format(slug="x"), "one.py"))]
    files.append(("two", write(tmp_path, SOURCE.format(slug="x"), "two.py")))
    monkeypatch.setattr(registry, "_sources", lambda: files)
    with pytest.raises(ValueError, match="two methods have the slug 'x'"):
        registry.listings()


def test_an_unknown_slug_gets_the_nearest(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_sources", lambda: [("one", write(tmp_path, SOURCE.format(slug="simclr")))])
    assert registry.listing("simclr").card.slug == "simclr"
    with pytest.raises(InputError, match="unknown method 'simlcr'; did you mean 'simclr'"):
        registry.listing("simlcr")


OWN = """
    from likewise.core.card import Card
    from likewise.core.learner import Learner
    from likewise.core.recipe import Recipe, part, spec
    from likewise.core.registry import recipe, register

    @register(Card(slug="own-{n}", title="", name="", paper="", year=1, modality="", task="", contrasts="", pick="",
                   equation=""))
    class Own(Learner):
        def __init__(self, width: int = 2) -> None:
            super().__init__()
            self.width = width

    @part("data", "own-data-{n}")
    def own_data(): ...

    @recipe(Own)
    def tiny():
        return Recipe(*[spec(Own, width=3), *[spec(own_data)] * 4])
"""


def test_a_method_of_ones_own_by_file_and_by_module(tmp_path, monkeypatch):
    file = write(tmp_path, OWN.format(n=1), "own_method_1.py")
    by_file = registry.load_file(f"{file}:Own")
    assert by_file.card.slug == "own-1"
    assert by_file.recipe("tiny").learner.build().width == 3
    assert registry.load_file(str(file)).card.slug == "own-1"

    write(tmp_path, OWN.format(n=2), "own_method_2.py")
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.load_file("own_method_2:Own").card.slug == "own-2"


def test_a_method_of_ones_own_that_is_not_there(tmp_path):
    file = write(tmp_path, OWN.format(n=3), "own_method_3.py")
    with pytest.raises(InputError, match="registers no method class 'Owl'; did you mean 'Own'"):
        registry.load_file(f"{file}:Owl")
    with pytest.raises(InputError, match="no Python file at"):
        registry.load_file(f"{tmp_path}/none.py:Own")
    with pytest.raises(InputError, match="no module 'no_such_module_at_all'"):
        registry.load_file("no_such_module_at_all:Own")
    with pytest.raises(InputError, match=r"own-3 has no recipe of size 'paper'; there are: tiny"):
        registry.load_file(f"{file}:Own").recipe("paper")


def test_a_file_does_not_replace_a_module_of_its_name(tmp_path):
    import statistics

    file = write(tmp_path, OWN.format(n=6), "statistics.py")
    assert registry.load_file(f"{file}:Own").card.slug == "own-6"
    assert registry.load_file(f"{file}:Own").card.slug == "own-6"  # again, as after an edit
    assert sys.modules["statistics"] is statistics


def test_one_slug_names_one_class(tmp_path):
    registry.load_file(f"{write(tmp_path, OWN.format(n=4), 'own_method_4.py')}:Own")
    clash = OWN.format(n=4).replace("own-data-4", "own-data-5")
    with pytest.raises(ValueError, match="two methods have the slug 'own-4'"):
        registry.load_file(f"{write(tmp_path, clash, 'own_method_5.py')}:Own")


def test_near_names():
    assert near("simlcr", ["simclr", "dcl"]) == "; did you mean 'simclr'?"
    assert near("zzz", ["b", "a"]) == "; there are: a, b"
    assert near("x", []) == "; there are none"


def test_a_missing_package_says_which_extra_brings_it():
    with pytest.raises(MissingExtraError, match=r"search needs the package 'no_such'.*pip install 'likewise\[find\]'"):
        require("no_such.module", "find", "search")
    assert require("math", "find", "search").pi > 3
    assert issubclass(MissingExtraError, InputError)
    assert issubclass(MissingExtraError, ImportError)
