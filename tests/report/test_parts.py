"""What pages are made of: numbers, words, curves, recipes, pictures, equations."""

import base64
import io
import json
import math

import numpy as np
import pytest
from pages import EVIL, METRICS, Reader, part, recipe
from PIL import Image

from likewise.core.registry import listings
from likewise.report import charts, settings, words
from likewise.report.card import code_link, paper_link
from likewise.report.equation import equation
from likewise.report.page import address, duration, number, script_json, signed, size
from likewise.report.pictures import picture, sheet

# --- numbers and words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.83412, "0.834"),
        (0.0123, "0.0123"),
        (0.00012, "0.00012"),
        (1e-5, "1e-05"),
        (12345.6, "12,346"),
        (49.3, "49.3"),
        (-2.876, "-2.88"),
        (3.0, "3"),
        (0, "0"),
        (True, "True"),
        ("text", "text"),
        (None, "–"),
        (math.nan, "not a number"),
        (-math.inf, "minus infinite"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_other_quantities():
    assert [signed(v) for v in (0.5, -0.5, 0.0, None, math.nan)] == ["+0.500", "−0.500", "±0", "–", "–"]
    assert [duration(v) for v in (3.21, 61, 3700, None)] == ["3.2 s", "1 min 1 s", "1 h 1 min", "–"]
    assert [size(v) for v in (12, 12e3, 612e6, 1.5e9, None)] == ["12 B", "12 kB", "612 MB", "1.5 GB", "–"]


def test_json_in_a_script_can_not_end_it():
    value = {"a": EVIL, "b": [math.nan, math.inf, 1.5], "c": np.arange(3)}
    text = str(script_json(value))
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": list(EVIL), "b": [None, None, 1.5], "c": [0, 1, 2]}


def test_links():
    assert paper_link("arXiv:2110.06848") == "https://arxiv.org/abs/2110.06848"
    assert paper_link("arXiv:2110.06848v3, ICML") == "https://arxiv.org/abs/2110.06848v3"
    assert paper_link("10.1145/3292500.3330701") == "https://doi.org/10.1145/3292500.3330701"
    assert paper_link("doi: 10.1007/s11263-020-1") == "https://doi.org/10.1007/s11263-020-1"
    assert paper_link("https://example.org/a.pdf (workshop)") == "https://example.org/a.pdf"
    assert paper_link("javascript:alert(1)") == paper_link("a book") == ""
    assert code_link("owner/some.name (MIT)") == "https://github.com/owner/some.name"
    assert code_link("none released") == code_link("../../etc") == ""


def test_addresses_are_relative_paths_only():
    assert address("javascript:alert(1)") == "javascript%3Aalert%281%29"
    assert address("../a b/#1?.png") == "../a%20b/%231%3F.png"
    assert address('"><script>') == "%22%3E%3Cscript%3E"
    assert address("broken\udcff.png") == "broken%FF.png"


def test_verdict_puts_bad_news_first():
    found = words.verdict({**METRICS, "effective_rank": 1.1, "lidar": math.nan}, 64)
    assert [r.level for r in found] == sorted((r.level for r in found), key=("bad", "warn", "good").index)
    assert "lidar is not a number." in {r.text.lower() for r in found}
    assert any(r.text.startswith("Collapsed: effective rank 1.1 of 64") for r in found)


def test_context_alone_says_nothing():
    context = {"dim": 64.0, "chance": 0.1, "apart": 1.9, "untrained": {"knn": 0.5}}
    assert words.read_one({**context, "seconds": 3.0}, "seconds") is None


# --- curves -----------------------------------------------------------------------------------------------------------


def test_long_curves_keep_their_extremes():
    y = np.sin(np.arange(10_000.0))
    y[777], y[5000] = 9.0, math.nan
    found = charts.line("y", np.arange(10_000.0), y)
    assert len(found["x"]) == len(found["y"]) < 300
    assert max(found["high"]) == 9.0
    assert None not in found["y"]  # one bad value among many is no gap
    assert all(low <= mean <= high for low, mean, high in zip(found["low"], found["y"], found["high"]))


def test_histograms_say_how_far_apart_pairs_are():
    positive, negative = [0] * 20 + [0, 10] + [0] * 18, [0] * 20 + [10, 10] + [0] * 18
    found = charts.histograms(
        [{"event": "probe", "step": 0, "epoch": 0.0, "positive_hist": positive, "negative_hist": negative}]
    )
    assert found["frames"][0]["auc"] == pytest.approx(0.75)  # above half of them, level with the other half
    assert found["trend"]["lines"][0]["y"] == [pytest.approx(0.075)]
    many = [
        {"event": "probe", "step": i, "epoch": i, "positive_hist": positive, "negative_hist": negative}
        for i in range(900)
    ]
    assert len(charts.histograms(many)["frames"]) == 100
    assert charts.histograms([{"event": "probe", "step": 0}]) is None


# --- recipes ----------------------------------------------------------------------------------------------------------


def test_recipe_as_a_table():
    held = recipe(stages=[{"name": "one", "settings": [["epochs", 5]]}], scales=[0.2, 1.0], clip=None, flag=True)
    found = settings.flatten(held)
    assert found["learner"] == "dcl"
    assert found["learner.encoder"] == "convnet"
    assert found["learner.encoder.dim"] == "64"
    assert found["scales"] == "0.2,1"
    assert (found["clip"], found["flag"], found["epochs"]) == ("none", "true", "3")
    assert found["stages.0.name"] == "one"
    groups = dict(settings.groups(recipe(batch=16), recipe()))
    assert [s.path for held in groups.values() for s in held if s.changed] == ["batch"]
    assert not any(s.changed for _, held in settings.groups(recipe(batch=16)) for s in held)


def test_command_from_a_recipe_is_quoted():
    made = {
        "method": "dcl",
        "size": "tiny",
        "seed": 1,
        "recipe": recipe(data=part("data", "image-folder", path="/a b/$c")),
    }
    changed = [s for _, held in settings.groups(made["recipe"], recipe()) for s in held if s.changed]
    found = settings.command(made, {"command": ["script.py", "x"]}, changed)
    assert found == "likewise train dcl --data '/a b/$c' --size tiny --seed 1"


# --- pictures ---------------------------------------------------------------------------------------------------------


def decoded(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def test_sheet_puts_every_picture_in_its_tile():
    n = 30
    pixels = np.zeros((n, 3, 32, 32), np.uint8)
    pixels[np.arange(n), 0] = (np.arange(n) * 8)[:, None, None]
    found = sheet(pixels)
    image = np.asarray(decoded(found.uri).convert("RGB"), int)
    assert image.shape[:2] == (found.lines * found.step, found.columns * found.step)
    for row, tile in enumerate(found.tiles):
        y, x = tile // found.columns * found.step, tile % found.columns * found.step
        assert abs(image[y + found.side // 2, x + found.side // 2, 0] - row * 8) <= 6


def test_large_sheets_keep_the_wanted_pictures():
    pixels = np.zeros((4000, 1, 40, 40), np.uint8)
    wanted = np.array([3999, 5, 17])
    found = sheet(pixels, wanted)
    assert (found.tiles >= 0).sum() == 1500
    assert (found.tiles[wanted] >= 0).all()
    assert sorted(found.tiles[found.tiles >= 0]) == list(range(1500))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 500, 20), (1, 7, 300), (3, 600, 600)])
def test_single_pictures_fit(shape):
    image = decoded(picture(np.full(shape, 200, np.uint8)))
    assert max(image.size) <= 128
    assert abs(np.asarray(image.convert("L"), int).mean() - 200) < 3


# --- equations --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("latex", [listing.card.equation for listing in listings().values()], ids=list(listings()))
def test_equations_of_all_methods_are_drawn(latex):
    found = Reader(str(equation(latex)))
    assert found.count("svg") >= 1 or not latex


def test_equations_of_any_kind():
    assert equation("") == ""
    assert Reader(str(equation(r"a &= b \\ &+ \tfrac12 c"))).count("svg") == 2
    odd = r"\unknowncommand{<script>alert(1)</script>}"
    assert Reader(str(equation(odd))).text == odd
    assert Reader(str(equation(r"x \in \{<b>\}"))).count("b") == 0
    lonely = equation(r"\Big[ x")  # a bracket without its partner is drawn small
    assert Reader(str(lonely)).count("svg") == 1
