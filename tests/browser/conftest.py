"""A browser for the tests of pages, or a reason why there is none."""

import sys
from pathlib import Path

import pytest

# the pages that are opened here are made up as those of the report tests are
sys.path.insert(0, str(Path(__file__).parents[1] / "report"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from chromium import Browser, find

    if find() is None:
        pytest.skip("no Chromium found: apt-get install chromium")
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def open_page(browser):
    """A function that opens a file in a tab that is closed after the test."""
    held = []

    def open_it(file, **given):
        held.append(browser.open(file, **given))
        return held[-1]

    yield open_it
    for page in held:
        page.close()
