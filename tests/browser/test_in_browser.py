"""Pages in a real browser: what a person points at and clicks, without network and without complaints."""

import time

import numpy as np
import pytest
from pages import CARD, EVIL, METRICS, events, recipe, samples, write_run

from likewise.report.comparison import ComparisonPage, Entry, write_comparison
from likewise.report.run import write_run_report
from likewise.report.sheet import Item, write_search_sheet

pytestmark = pytest.mark.browser


def clean(page):
    """No error, no warning, and nothing asked for but the file itself and what is inlined in it."""
    assert page.complaints == []
    loaded = [url for url in page.requests if not url.startswith("data:")]
    return len(loaded) == 1 and loaded[0].startswith("file://")


def centre(page, selector):
    """Where the middle of an element is in the window, scrolled into view."""
    find = f"document.querySelector({selector!r})"
    for _ in range(100):  # a busy machine draws late
        if page.run(f"{find} !== null"):
            break
        time.sleep(0.1)
    page.run(f"{find}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    x, y, width, height = page.run(
        f"(({{x, y, width, height}}) => [x, y, width, height])({find}.getBoundingClientRect())"
    )
    return x + width / 2, y + height / 2


def point(page, row):
    """Where a row's point is in the window."""
    centre(page, ".plot canvas")
    page.wait("likewise.map.position(0)[0] > 0")
    left, top = page.run("(({x, y}) => [x, y])(document.querySelector('.plot canvas').getBoundingClientRect())")
    x, y = page.run(f"likewise.map.position({row})")
    return left + x, top + y


def put(page, selector, value):
    """Give a field a value, as typing or choosing does."""
    find = f"document.querySelector({selector!r})"
    page.run(f"{find}.value = {value!r}")
    for kind in ("input", "change"):
        page.run(f"{find}.dispatchEvent(new Event({kind!r}))")


TIP = "document.querySelector('.tip')"


@pytest.fixture
def run_page(tmp_path, open_page):
    def make(**given):
        shown = given.pop("samples", None) or samples()
        path = write_run_report(write_run(tmp_path / "run"), card=CARD, samples=shown, default=recipe(batch=32))
        return open_page(path, **given)

    return make


def test_map_is_read_by_pointing_and_clicking(run_page):
    page = run_page()
    place = point(page, 7)
    page.mouse("mouseMoved", *place)
    assert page.wait(f"!{TIP}.hidden && {TIP}.innerText").split("\n") == ["class 1", "folder/7.png"]
    assert page.run("document.querySelector('.tip [role=img]').getAttribute('aria-label')") == "class 1"
    page.click(*place)
    page.wait("document.querySelectorAll('.pinned li').length === 8")
    assert all("class" in page.run(f"document.querySelectorAll('.pinned li')[{k}].innerText") for k in range(8))
    assert "folder/7.png" in page.run("document.querySelector('.pinned .who').innerText")
    page.key("Escape")
    page.wait("document.querySelectorAll('.pinned li').length === 0")
    assert clean(page)


def test_thumbnail_under_the_pointer_is_the_right_one(run_page):
    """The tile of the sheet that the tip shows has the row's own colour."""
    pictures = np.zeros((60, 3, 16, 16), np.uint8)
    pictures[7, 0] = 255  # red among black ones
    page = run_page(samples=samples(thumbnails=pictures))
    page.mouse("mouseMoved", *point(page, 7))
    page.wait(f"!{TIP}.hidden")
    red = page.run(
        """new Promise((done) => {
          const tile = document.querySelector('.tip .tile-picture'), style = getComputedStyle(tile);
          const picture = new Image();
          picture.onload = () => {
            const [x, y] = style.backgroundPosition.split(' ').map(parseFloat);
            const zoom = picture.width / parseFloat(style.backgroundSize);
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = 1;
            const middle = [tile.offsetWidth / 2 - x, tile.offsetHeight / 2 - y];
            canvas.getContext('2d').drawImage(picture, middle[0] * zoom, middle[1] * zoom, 1, 1, 0, 0, 1, 1);
            done([...canvas.getContext('2d').getImageData(0, 0, 1, 1).data]);
          };
          picture.src = style.backgroundImage.slice(5, -2);
        })"""
    )
    assert red[0] > 200
    assert max(red[1:3]) < 60
    assert clean(page)


def test_legend_filters(run_page):
    page = run_page()
    button = ".legend button[data-class='0']"
    page.click(*centre(page, button))
    page.wait(f'document.querySelector("{button}").getAttribute("aria-pressed") === "true"')
    page.mouse("mouseMoved", *point(page, 7))  # of class 1: faint now, and not pointed at
    assert page.run(f"{TIP}.hidden || !{TIP}.innerText.includes('class 1')")
    page.mouse("mouseMoved", *point(page, 6))  # of class 0
    assert "class 0" in page.wait(f"!{TIP}.hidden && {TIP}.innerText")
    page.click(*centre(page, button))
    page.mouse("mouseMoved", *point(page, 7))
    page.wait(f"{TIP}.innerText.includes('folder/7.png')")
    assert clean(page)


def test_keys_search_zoom_and_projection(run_page):
    page = run_page()
    point(page, 0)
    page.run("document.querySelector('.plot canvas').focus()")
    page.key("ArrowRight")
    page.wait(f"!{TIP}.hidden")
    page.key("Enter")
    page.wait("document.querySelectorAll('.pinned li').length === 8")
    page.key("+")
    assert page.run("likewise.map.state.zoom") > 1
    put(page, "input[type=search]", "folder/5.")
    page.wait("document.querySelector('.map .controls').innerText.includes('1 found')")
    x, _ = page.run("likewise.map.position(3)")
    put(page, "select[aria-label=Projection]", 1)
    page.wait("document.querySelector('.says').innerText.startsWith('PCA')")
    page.wait(f"likewise.map.position(3)[0] !== {x}")
    for value in ("agreement", "alone", "class"):
        put(page, "select[aria-label='Colour by']", value)
    assert page.run("document.querySelectorAll('.legend button[data-class]').length") == 3
    assert clean(page)


def test_curves_are_read_by_pointer_and_keys(run_page):
    page = run_page()
    loss = "document.querySelector('[data-chart=\"charts.0\"] svg')"
    page.mouse("mouseMoved", *centre(page, "[data-chart='charts.0'] svg"))
    readout = f"{loss}.parentElement.querySelector('.readout').innerText"
    assert "Loss" in page.wait(readout)
    page.run(f"{loss}.focus()")
    page.key("End")
    assert page.run(readout).split("\n") == ["epoch 4", "Loss 0.125"]
    assert page.run(f"{loss}.getAttribute('aria-label')").startswith("Loss: Loss from 5 to 0.125")
    put(page, "[data-chart=pairs] input", 0)
    said = page.run("document.querySelector('[data-chart=pairs] [role=status]').innerText")
    assert said.endswith("a positive is more alike than a negative in 50.0% of cases")
    assert clean(page)


@pytest.mark.parametrize("dark", [False, True])
def test_colours_follow_the_system_and_the_switch(run_page, dark):
    page = run_page(dark=dark)

    def light():
        red, green, blue = page.run("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
        return red + green + blue > 380

    assert light() is not dark
    page.click(*centre(page, "[data-theme-switch]"))
    assert light() is dark
    assert clean(page)


def test_narrow_screens_do_not_scroll_sideways(run_page):
    page = run_page(size=(360, 740))
    page.wait("document.querySelector('.plot canvas').clientWidth > 0")
    assert page.run("document.documentElement.scrollWidth") <= 360
    assert clean(page)


def test_names_of_files_never_run(run_page):
    keys = [EVIL[i % len(EVIL)] + str(i) for i in range(60)]
    page = run_page(samples=samples(keys=keys, classes=list(EVIL[:3])))
    for row in range(9):
        page.mouse("mouseMoved", *point(page, row))
        page.run(f"likewise.map.pin({row})")
    assert page.run(f"{TIP}.innerText")
    assert page.run("window.pwned") is None
    assert clean(page)


def test_other_shapes_of_data_draw_too(tmp_path, open_page):
    odd = {
        "no-labels": samples(labels=None, classes=None),
        "no-pictures": samples(thumbnails=None),
        "targets": samples(labels=np.linspace(0, 1, 60), classes=None),
        "one": samples(n=1),
        "two": samples(n=2, num_classes=1),
        "many-classes": samples(n=120, num_classes=45),
    }
    for name, shown in odd.items():
        run = write_run(tmp_path / name, events=events(probes=1, bad_step=3))
        page = open_page(write_run_report(run, samples=shown))
        page.mouse("mouseMoved", *point(page, 0))
        assert shown.keys[0] in page.wait(f"{TIP}.innerText"), name
        page.run("likewise.map.pin(0)")
        assert clean(page), name


def test_comparison_and_search_pages(tmp_path, open_page):
    entries = [
        Entry(method, seed, {**METRICS, "knn": 0.8 + seed / 100 + len(method) / 50}, events())
        for method in ("dcl", "simclr")
        for seed in range(3)
    ]
    page = open_page(write_comparison(tmp_path / "comparison.html", ComparisonPage(entries)))
    x, y = centre(page, "[data-chart='dots.0'] svg")
    page.mouse("mouseMoved", x, y - 20)
    assert "mean" in page.wait("document.querySelector('[data-chart=\"dots.0\"] .readout').innerText")
    assert clean(page)
    pictures = samples().thumbnails
    hits = [Item(key, picture, score=0.5) for key, picture in zip(EVIL, pictures)]
    page = open_page(write_search_sheet(tmp_path / "sheet.html", Item(EVIL[0], pictures[0]), hits))
    assert page.run("[...document.images].every((i) => i.complete && i.naturalWidth > 0)") is True
    assert page.run("window.pwned") is None
    assert clean(page)
