"""Every registered method under every check that fits it. No slug is known here."""

import functools
import json
from pathlib import Path

import pytest

from likewise import functional
from likewise.core import registry
from likewise.testing.contract import all_checks, pairs, run_check
from likewise.testing.oracle import Adapter, cases
from likewise.testing.subject import Subject

HERE = Path(__file__).parent
FIXTURES = HERE.parent / "oracles"
LISTINGS = registry.listings()


@functools.cache
def subject(slug, pool):
    return Subject(registry.load(slug), pool)


def test_method(slug, check, pool):
    # the checker of shapes draws from Python's generator, which is what one check watches
    functional.check_shapes("touches" not in check.name)
    result = run_check(check, subject(slug, pool))
    assert result.passed, f"{check.says}\n{result.message}"


def test_as_many_pairs_as_before():
    """A suite that skips is green, too: the number of pairs may grow, not fall (--update-count writes it)."""
    held = json.loads((HERE / "count.json").read_text(encoding="utf-8"))["pairs"]
    found = len(pairs(listing.card for listing in LISTINGS.values()))
    assert found >= held, f"{found} (method, check) pairs, {held} before: which method or check was switched off?"


def test_every_check_runs_on_some_method():
    ran = {check.name for _, check in pairs(listing.card for listing in LISTINGS.values())}
    idle = {check.name for check in all_checks()} - ran
    # checks that no method of this version calls for; take a name out when the first one comes
    assert idle <= {"rows-do-not-mix"}


@pytest.mark.parametrize("slug", [s for s, found in LISTINGS.items() if found.card.oracle])
def test_the_fixture_is_there_and_is_checked(slug):
    fixture = FIXTURES / LISTINGS[slug].card.oracle
    adapter = FIXTURES / "adapters" / f"{fixture.stem}.py"
    assert fixture.is_file(), f"{slug}: no fixture {fixture.name} in tests/oracles"
    assert adapter.is_file(), f"{slug}: {fixture.name} has no adapter"
    assert Adapter.load(adapter).pairs(cases(fixture))


def test_cards_read_from_source_are_the_registered_ones():
    for slug, listing in LISTINGS.items():
        method = registry.load(slug)
        assert listing.card == method.card
        assert set(listing.sizes) == set(method.recipes), slug
