"""The checks see what they are for: an honest method passes them all, and each faulty copy fails the ones it should."""

from pathlib import Path

import miniature
import other_faults
import pytest

from likewise.core import registry
from likewise.core.card import Card, Claim, Traits
from likewise.testing import contract
from likewise.testing.contract import all_checks, pairs, report, run_check, run_checks
from likewise.testing.subject import Subject


def method(slug):
    return registry._methods[slug]


def results(slug, pool):
    return {r.name: r for r in run_checks(method(slug), pool=pool)}


def test_an_honest_method_passes(pool):
    found = results("mini", pool)
    assert not {n: r.message for n, r in found.items() if not r.passed}
    assert len(found) == len(all_checks())
    ran = [r for r in found.values() if not r.skipped_reason]
    assert len(ran) == len(pairs([method("mini").card])) > 25
    assert all(r.seconds > 0 for r in ran)


@pytest.mark.parametrize("slug", sorted(miniature.FAULTS))
def test_a_fault_is_seen(slug, pool):
    wanted = miniature.FAULTS[slug]
    by_name = {one.name: one for one in all_checks()}
    subject = Subject(method(slug), pool)
    passed = [name for name in wanted if run_check(by_name[name], subject).passed]
    assert not passed, f"not seen by {', '.join(passed)}"


def test_some_check_is_failed_by_every_fault():
    """Each check has a fault that shows that it can fail, but for those that no working code can fail."""
    shown = {name for wanted in miniature.FAULTS.values() for name in wanted} | set(other_faults.FAULTS)
    assert {one.name for one in all_checks()} - shown == UNSHOWN


@pytest.mark.parametrize("name", other_faults.FAULTS)
def test_checks_of_other_kinds_see_a_fault(name, monkeypatch):
    [one] = [one for one in all_checks() if one.name == name]
    found = run_check(one, Subject(other_faults.FAULTS[name](monkeypatch)))
    assert not found.passed
    assert found.message


UNSHOWN = {
    "a-tiny-step-is-quick",
    "claim-can-be-checked",  # see below
    "one-label-is-harmless",
    "recipes-survive-json",
    "resolved-recipe-builds-the-same",
    "rows-are-embedded",
}


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (Claim("s", "digits", "knnn", "mini"), "metric 'knnn' is no metric"),
        (Claim("s", "digits", "knn", "nobody"), "unknown method 'nobody'"),
        (Claim("s", "digits", "knn", "mini-self"), "compares the method with itself"),
        (Claim("s", "digits", "knn", "mini", seeds=2), "2 seeds show nothing"),
        (Claim("s", "digits", "knn", "mini", settings=(("bacth", 8),)), "unknown setting 'bacth'"),
        (Claim("s", "digits", "knn", "mini", settings=(("batch", 8),)), ""),
    ],
)
def test_claims(claim, message, pool):
    held = method("mini")
    own = registry.Method(miniature.card("mini-self", claim=claim), held.cls, held.recipes)
    (one,) = [c for c in all_checks() if c.name == "claim-can-be-checked"]
    assert message in (found := run_check(one, Subject(own, pool))).message
    assert found.passed == (message == "")


def test_an_honest_method_of_a_graph_passes(pool):
    found = results("mini-graph", pool)
    assert not {n: r.message for n, r in found.items() if not r.passed}
    skipped = {n for n, r in found.items() if r.skipped_reason == "its batch is a whole graph"}
    assert skipped == {
        "a-row-is-embedded-alone",
        "order-does-not-matter",
        "parts-give-the-whole-gradient",
        "repeated-samples-are-harmless",
        "rows-do-not-mix",
        "smallest-batch-works",
    }
    assert found["nodes-have-no-order"].seconds > 0


def test_traits_and_waivers_switch_checks_off():
    plain = miniature.card("x")
    single = miniature.card("x", traits=Traits(splits="single", cacheable=False, permutable=False, needs=("labels",)))
    waived = miniature.card("x", waivers=(("memory-moves", "there is a reason for it"),))
    names = {card: {c.name for _, c in pairs([card])} for card in (plain, single, waived)}
    off = {"processes-agree-with-one", "parts-give-the-whole-gradient", "order-does-not-matter", "labels-are-ignored"}
    assert names[plain] - names[single] == off | {"memory-moves"}
    assert names[single] - names[plain] == {"memory-is-on-the-card"}
    assert names[plain] - names[waived] == {"memory-moves"}
    (one,) = [c for c in all_checks() if c.name == "memory-moves"]
    assert one.skipped(waived) == "there is a reason for it"


def test_a_decoder_has_the_checks_of_decoders_and_cards_alone():
    card = Card(**{f: getattr(miniature.card("x"), f) for f in Card.__dataclass_fields__} | {"kind": "decoder"})
    plain = {"card-is-complete", "card-reads-as-text", "waivers-name-checks"}
    assert {c.name for _, c in pairs([card])} - plain == {
        "a-prompt-is-continued-alone",
        "a-seed-decides-the-text",
        "banned-tokens-never-come",
        "scores-are-of-every-token",
        "small-vocabularies-are-harmless",
    }


@pytest.mark.parametrize("slug", ["mini-decoder", "mini-study"])
def test_an_honest_decoder_or_study_passes(slug, pool):
    found = results(slug, pool)
    assert not {n: r.message for n, r in found.items() if not r.passed}


def test_a_method_in_a_file_of_ones_own(pool, tmp_path):
    """Other processes find it by its file, also where another module has the file's name."""
    file = tmp_path / "statistics.py"
    file.write_text(
        "import miniature\n\n@miniature.named('outside')\nclass Outside(miniature.Mini):\n    'From outside.'\n"
    )
    found = run_checks(registry.load_file(f"{file}:Outside"), pool=pool)
    assert not [r.message for r in found if not r.passed]


def test_the_report_says_what_failed(pool):
    held = method("mini-takes-anything")
    found = run_checks(held, pool=pool)
    text = report(held, found)
    assert "FAILED   temperatures-are-positive" in text
    assert "temperature=0.0 is accepted" in text
    assert text.splitlines()[-1].startswith("mini-takes-anything: ")
    assert "do not apply" in text


def test_checks_know_no_slug():
    folder = Path(contract.__file__).parent
    texts = {
        f: f.read_text(encoding="utf-8")
        for f in [folder / "contract.py", folder / "subject.py", *folder.glob("checks/*.py")]
    }
    for slug in registry.listings():
        hits = [f.name for f, text in texts.items() if f'"{slug}"' in text.replace('registry.load("dcl")', "")]
        assert not hits, f"{slug} stands in {hits}"


def test_two_checks_of_one_name_are_refused():
    (one,) = [c for c in all_checks() if c.name == "memory-moves"]
    with pytest.raises(ValueError, match="two checks are named 'memory-moves'"):
        contract.check()(one.run)
