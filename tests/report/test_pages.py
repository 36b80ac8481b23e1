"""The other pages: comparison, search sheet, ledger, method page."""

import ast
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from pages import CARD, EVIL, METRICS, Reader, events, recipe, write_run

from likewise.core.card import Claim, Traits
from likewise.core.errors import InputError
from likewise.core.registry import Listing, listings, read_source
from likewise.report import ledger
from likewise.report.card import traits
from likewise.report.comparison import ComparisonPage, Entry, read_entry, render_comparison, write_comparison
from likewise.report.ledger import Result, judge, read_results, tally, write_ledger
from likewise.report.method import method_index, method_page, settings_told
from likewise.report.sheet import Item, write_search_sheet

# --- comparison -------------------------------------------------------------------------------------------------------


def entries(knn, **more):
    return [
        Entry(method, seed, {**METRICS, "knn": value, **more}, events(), f"{method}-{seed}/report.html")
        for method, values in knn.items()
        for seed, value in enumerate(values)
    ]


def test_comparison_ranks_and_links():
    knn = {"simclr": [0.80, 0.81, 0.82], "dcl": [0.85, 0.86, 0.88], "by<b>ol": [0.70, 0.72, 0.71]}
    comparison = ComparisonPage(
        entries(knn), "digits", baseline="simclr", names={"dcl": "DCL"}, command="likewise compare"
    )
    found = Reader(render_comparison(comparison))
    assert [row.method for row in comparison.rows] == ["dcl", "simclr", "by<b>ol"]
    assert comparison.reading.startswith("DCL: kNN 0.863 over 3 seeds, best; better than")
    assert found.count("a", href="simclr-2/report.html") == 1
    assert "DCL − simclr" in found.text
    assert "by<b>ol" in found.text
    dots = found.data()["dots"][0]
    assert [row["name"] for row in dots["rows"]] == ["DCL", "simclr", "by<b>ol"]
    assert dots["rows"][0]["low"] < dots["rows"][0]["mean"] < dots["rows"][0]["high"]
    assert {line["group"] for line in found.data()["curves"][0]["lines"]} == {"DCL", "simclr", "by<b>ol"}


def test_comparison_pairs_only_seeds_that_all_finished():
    held = entries({"a": [0.5, 0.6, 0.7], "b": [0.6, 0.7, 0.8]})
    held[5] = Entry("b", 2, {}, state="failed", message="the <loss> is not finite")
    comparison = ComparisonPage(held)
    assert comparison.seeds == [0, 1]
    assert comparison.values("knn") == {"a": [0.5, 0.6], "b": [0.6, 0.7]}
    found = Reader(render_comparison(comparison))
    assert "b, seed 2: failed. the <loss> is not finite" in found.text


@pytest.mark.parametrize(
    "held",
    [
        [],
        [Entry("a", 0, {})],
        entries({"a": [0.5]}),
        entries({"a": [0.5], "b": [math.nan]}),
        [Entry("a", 0, {"knn": 0.5}), Entry("b", 1, {"knn": 0.6})],
        [Entry("a", 0, {"knn": 0.5}), Entry("b", 0, {"loss": 0.6})],
        entries({"a": [0.5, 0.5, 0.5], "b": [0.5, 0.5, 0.5]}),
    ],
    ids=["none", "unfinished", "one", "nan", "no-common-seed", "no-common-metric", "equal"],
)
def test_odd_comparisons_have_a_page(held):
    Reader(render_comparison(ComparisonPage(held)))


def test_two_methods_of_one_name_keep_their_slugs():
    comparison = ComparisonPage(entries({"a": [0.5], "b": [0.6]}), names={"a": "Same", "b": "Same"})
    assert [row.name for row in comparison.rows] == ["b", "a"]


def test_entry_from_a_run_folder(tmp_path):
    made = {"method": "dcl", "seed": 3, "recipe": recipe(), "facts": {"batch": 50, "steps_per_epoch": 10}}
    run = write_run(tmp_path / "runs" / "one", recipe=made)
    (run / "report.html").write_text("")
    found = read_entry(run, tmp_path / "pages")
    assert (found.method, found.seed, found.state) == ("dcl", 3, "finished")
    assert found.report == "../runs/one/report.html"
    assert found.seconds_per_epoch == pytest.approx(5.0)  # 500 samples at 100 a second
    path = write_comparison(tmp_path / "pages" / "comparison.html", ComparisonPage([found]))
    assert Reader(path.read_text()).count("a", href="../runs/one/report.html") == 1


# --- search sheet -----------------------------------------------------------------------------------------------------


def test_search_sheet_of_pictures_and_of_texts(tmp_path):
    pixels = np.zeros((3, 8, 8), np.uint8)
    hits = [Item(key, pixels, "label <1>", 0.9, key) for key in EVIL]
    found = Reader(write_search_sheet(tmp_path / "a.html", Item(EVIL[0], pixels), hits).read_text())
    assert found.count("img") == len(EVIL) + 1
    assert "label <1>" in found.text
    assert all(":" not in a["href"] for t, a in found.tags if t == "a")
    texts = [Item(f"sentence <{i}>", score=0.5) for i in range(3)]
    found = Reader(write_search_sheet(tmp_path / "b.html", Item("x" * 500), texts).read_text())
    assert found.count("img") == 0
    assert "0.500 sentence <2>" in found.text
    assert "index is empty" in Reader(write_search_sheet(tmp_path / "c.html", Item("q"), []).read_text()).text


def test_some_answers_without_picture(tmp_path):
    hits = [Item("a.png", np.zeros((1, 4, 4), np.uint8), score=0.5), Item("b.txt", score=0.4)]
    assert Reader(write_search_sheet(tmp_path / "a.html", Item("q"), hits).read_text()).count("img") == 1


# --- ledger -----------------------------------------------------------------------------------------------------------


def result(**changes):
    method, baseline = [0.81, 0.82, 0.83], [0.78, 0.79, 0.81]
    held = {
        "method": "dcl",
        "baseline": "simclr",
        "says": "DCL is better at a small batch <32>.",
        "metric": "knn",
        "data": "digits",
        "seeds": [0, 1, 2],
        "values": {"method": method, "baseline": baseline},
        "settings": {"batch": 16},
        "command": "likewise claim dcl",
        "date": "2025-01-01",
        "seconds": 100.0,
        **judge("knn", method, baseline),
    }
    return held | changes


def test_judge():
    assert judge("knn", [0.81, 0.82, 0.83], [0.78, 0.79, 0.81])["verdict"] == "holds"
    assert judge("knn", [0.78, 0.79, 0.81], [0.81, 0.82, 0.83])["verdict"] == "does not hold"
    assert judge("knn", [0.7, 0.9, 0.8], [0.8, 0.7, 0.9])["verdict"] == "undecided"
    assert judge("uniformity", [-3.0, -3.1, -3.2], [-2.0, -2.1, -2.3])["verdict"] == "holds"  # lower is better
    alone = judge("knn", [0.9], [0.1])
    assert (alone["verdict"], alone["interval"], alone["p"]) == ("undecided", None, None)
    assert alone["difference"] == pytest.approx(0.8)


def test_ledger_reads_what_judge_gives_and_shows_failures(tmp_path):
    lost = result(baseline="byol", **judge("knn", [0.1, 0.2, 0.3], [0.5, 0.6, 0.71]))
    for name, held in (("won", result()), ("lost", lost)):
        (tmp_path / f"{name}.json").write_text(json.dumps(held))
    results = read_results(tmp_path)
    assert tally(results) == "2 claims: 1 holding, 1 not holding, 0 undecided"
    text = ledger.markdown(results)
    assert "**does not hold**" in text
    assert "| `dcl` | 0.810 | 0.820 | 0.830 |" in text
    assert text.count("```") == 4
    found = Reader(write_ledger(tmp_path / "ledger.html", results).read_text())
    assert "DCL is better at a small batch <32>." in found.text
    assert len(found.data()["dots"]) == 2
    assert read_results(tmp_path / "nowhere") == []
    assert "No claim has been run yet" in ledger.markdown([])
    Reader(write_ledger(tmp_path / "empty.html", []).read_text())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not the JSON"),
        ("[]", "holds no object"),
        (json.dumps({"method": "dcl"}), "baseline, says, metric"),
        (json.dumps(result(verdict="won")), "verdict 'won' is none of"),
        (json.dumps(result(seeds=[0, 1])), "3 method values for 2 seeds"),
    ],
)
def test_damaged_results_are_named(tmp_path, text, words):
    (tmp_path / "dcl.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read_results(tmp_path)


# --- method pages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listing", listings().values(), ids=list(listings()))
def test_every_method_has_a_page(listing):
    text = method_page(listing)
    assert text.startswith(f"# {listing.card.name}\n")
    assert text.count("$$") == 2 * bool(listing.card.equation)
    told = settings_told(listing)
    for name, _ in listing.knobs:
        assert told.get(name), f"{listing.card.slug}: its docstring says nothing of {name}"
        assert f"| `{name}` |" in text


def test_method_page_shows_evidence_and_differences(tmp_path):
    source = tmp_path / "mine.py"
    source.write_text(
        "@register(Card(slug='mine', title='T', name='Mine', paper='arXiv:1', year=2024, modality='image', task='t',\n"
        "    contrasts='a | b', pick='never', equation='x', deviations=('one',)))\n"
        "class Mine:\n"
        '    """Doc.\n\n    Args:\n        width: of the head,\n            or so.\n        mode: ``a|b``.\n    """\n'
        "    def __init__(self, encoder, *, width: int = 3, mode: str = 'a|b') -> None: ...\n"
    )
    listing = read_source(source, "mine")[0]
    assert settings_told(listing) == {"width": "of the head, or so", "mode": "``a|b``"}
    won = Result(**dict(result(method="mine").items()))
    text = method_page(listing, [won, replace(won, method="another")])
    assert text.count("**Holds** over 3 seeds: knn on digits 0.820 against 0.793 of `simclr`") == 1
    assert "| `mode` | `'a\\|b'` |" in text
    claim = Claim(says="It is better.", data="digits", metric="knn", beats="simclr")
    unproven = method_page(replace(listing, card=replace(listing.card, claim=claim)))
    assert "Claim, not run yet: It is better (knn on digits, against `simclr`)." in unproven


def test_pages_of_other_kinds_use_their_verbs():
    for kind, verb in (
        ("decoder", "likewise decode dcl"),
        ("study", "likewise study dcl"),
        ("agent", "likewise run dcl"),
    ):
        card = replace(CARD, kind=kind)
        source = next(iter(listings().values())).path
        assert verb in method_page(Listing(card, "m", source, (), ()))


def test_traits_in_words():
    card = replace(CARD, traits=Traits("single", cacheable=False, needs=("labels", "extra:graph"), memory=("queue",)))
    text = " ".join(traits(card))
    assert "one device only" in text
    assert "It needs labels, graph." in text
    assert "queue" in text
    assert "micro" not in text


def test_index_has_every_method_once():
    text = method_index("methods/{slug}.md")
    for slug in listings():
        assert text.count(f"(methods/{slug}.md)") == 1


def test_method_pages_import_no_framework():
    import subprocess
    import sys

    code = "import sys; from likewise.report.method import method_index; method_index(); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_templates_escape_and_scripts_build_no_markup():
    from pathlib import Path

    folder = Path(ledger.__file__).parent
    for path in folder.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, f"{path.name} builds markup from text with {word}"
    for path in folder.glob("*.html"):
        assert "|safe" not in path.read_text(encoding="utf-8").replace(" ", "")
    tree = ast.parse((folder / "page.py").read_text(encoding="utf-8"))
    (environment,) = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "Environment"]
    assert "autoescape=True" in ast.unparse(environment)
