"""What a card says."""

import re

from likewise.core import registry
from likewise.core.card import Card
from likewise.core.errors import InputError
from likewise.evaluate.catalogue import METRICS
from likewise.testing.contract import all_checks, check, for_cards
from likewise.testing.subject import Subject, expect

PAPER = re.compile(r"arXiv:\d{4}\.\d{4,5}|arXiv:[a-z-]+/\d{7}|(doi:)?10\.\d{4,9}/\S+")


def _no_claim(card: Card) -> str:
    return "" if card.claim else "no claim"


def _no_fixture(card: Card) -> str:
    return "" if card.oracle else "no fixture: a second derivation stands in the tests of its equation"


@for_cards
def card_is_complete(subject: Subject) -> None:
    """Every field that a page or a table needs is filled in."""
    card = subject.card
    needed = ("title", "name", "modality", "task", "contrasts", "pick", "equation")
    empty = [name for name in needed if not getattr(card, name).strip()]
    expect(not empty, f"empty on the card: {', '.join(empty)}")
    expect(
        re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", card.slug) is not None, f"slug {card.slug!r}: use a-z, 0-9 and dashes"
    )
    expect(PAPER.fullmatch(card.paper) is not None, f"paper {card.paper!r} is neither 'arXiv:2110.06848' nor a DOI")
    expect(1980 <= card.year <= 2100, f"year {card.year}")
    expect(bool(subject.method.cls.__doc__), "the class has no docstring")


@for_cards
def card_reads_as_text(subject: Subject) -> None:
    """Text on the card goes into tables and pages as it is: no line breaks, HTML or unbalanced marks."""
    card = subject.card
    claim = (card.claim.says,) if card.claim else ()
    texts = (card.title, card.name, card.task, card.contrasts, card.pick, card.code, *card.deviations, *claim)
    for text in (*texts, *(reason for _, reason in card.waivers)):
        expect(text == text.strip() and text.isprintable(), f"blank ends or control characters in {text!r}")
        expect("|" not in text, f"a | breaks the table: {text!r}")
        expect(re.search(r"<[a-zA-Z/!]", text) is None, f"HTML in {text!r}")
        expect(text.count("`") % 2 == 0, f"an odd number of backticks in {text!r}")
    bare = card.equation.replace(r"\{", "").replace(r"\}", "")
    expect(bare.count("{") == bare.count("}"), "unbalanced braces in the equation")
    expect("$" not in card.equation and card.equation.isprintable(), "the equation is LaTeX without $ and line breaks")


@for_cards
def waivers_name_checks(subject: Subject) -> None:
    """A waiver names a check and gives a reason."""
    names = {one.name for one in all_checks()}
    for name, reason in subject.card.waivers:
        expect(name in names, f"waiver {name!r} names no check")
        expect(len(reason.split()) >= 3, f"the waiver of {name!r} gives no reason: {reason!r}")


@check(_no_claim)
def claim_can_be_checked(subject: Subject) -> None:
    """The claim names a metric, a baseline and settings that exist."""
    claim = subject.card.claim
    assert claim is not None
    judged = ((claim.metric, claim.beats, claim.times), *claim.further)
    expect(all(times > 0 for *_, times in judged), "a claim compares with 0 times or less of the baseline's metric")
    for name in [claim.of(m, slug) for m, baseline, _ in judged for slug in (subject.card.slug, baseline)]:
        expect(name in METRICS, f"the claim's metric {name!r} is no metric")
    expect(claim.seeds >= 3, f"{claim.seeds} seeds show nothing; at least 3")
    expect(claim.beats != subject.card.slug, "the claim compares the method with itself")
    try:
        baselines = [registry.load(baseline) for _, baseline, _ in judged]
        for method in [registry.load(claim.under)] if claim.under else [subject.method, *baselines]:
            recipe = method.recipe("small").copy()
            for path, value in claim.settings:
                recipe.set(path, value)
    except InputError as error:
        expect(False, f"the claim: {error}")


@check(_no_fixture)
def fixture_is_named_plainly(subject: Subject) -> None:
    """The card names its fixture as a file name alone."""
    name = subject.card.oracle
    expect(re.fullmatch(r"[a-z0-9-]+\.npz", name) is not None, f"oracle {name!r}: a file name like 'dcl.npz'")
