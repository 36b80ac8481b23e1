"""Claims that say how many times better, that judge several metrics, and that compare decoders under one model."""

import dataclasses
import json

import pytest

from likewise import comparison
from likewise.core import registry
from likewise.core.card import Claim
from likewise.report.ledger import markdown, read_results, write_ledger
from likewise.train.events import write_json

DIVERSITY = {100: (0.9, 0.2), 101: (0.8, 0.25), 102: (0.85, 0.22)}


@pytest.fixture
def record(monkeypatch, tmp_path):
    """A decoder's claim on runs whose metrics are made up, and the folders of those runs."""
    made = Claim(
        says="More diverse.", data="python-topics", metric="diversity", beats="greedy", under="gpt", times=3.0,
        further=(("coherence", "nucleus", 1.0), ("rep2", "greedy", 1.0)),
    )  # fmt: skip
    found = registry.listing("contrastive-search")
    held = dataclasses.replace(found, card=dataclasses.replace(found.card, claim=made))
    registry.load("gpt")
    monkeypatch.setattr(registry, "listing", lambda slug: held)

    def one(plan, folder, quiet):
        folder.mkdir(parents=True)
        write_json(folder / "recipe.json", plan.to_json())
        mine, theirs = DIVERSITY[plan.seed]
        metrics = {"diversity_contrastive_search": mine, "diversity_greedy": theirs}
        metrics |= {"coherence_contrastive_search": -2.0, "coherence_nucleus": -3.0 - mine / 10}
        write_json(folder / "metrics.json", metrics | {"rep2_contrastive_search": 1.0, "rep2_greedy": mine})

    monkeypatch.setattr(comparison, "_one", one)
    return comparison.claim("contrastive-search", out=tmp_path / "runs", quiet=True)


def test_both_decoders_are_read_from_the_same_runs(record, tmp_path):
    assert sorted(path.name for path in (tmp_path / "runs" / "gpt" / "0").iterdir()) == [
        "gpt-seed100",
        "gpt-seed101",
        "gpt-seed102",
    ]
    assert record["metric"] == "diversity_contrastive_search"
    assert record["values"] == {"method": [0.9, 0.8, 0.85], "baseline": [0.2, 0.25, 0.22]}
    assert record["under"] == "gpt"


def test_the_factor_decides(record):
    """The differences from 3 times greedy are 0.3, 0.05 and 0.19: too uneven for an interval above 0."""
    assert record["difference"] == pytest.approx(0.18)
    assert record["verdict"] == "undecided"
    coherence, rep2 = record["further"]
    assert (coherence["metric"], coherence["baseline"], coherence["verdict"]) == ("coherence", "nucleus", "holds")
    assert rep2["verdict"] == "does not hold"  # less is better


def test_the_ledger_says_so(record, tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "x.json").write_text(json.dumps(record))
    (result,) = read_results(tmp_path / "claims")
    assert result.against == "3 times greedy"
    text = markdown([result])
    assert "## contrastive-search against 3 times greedy" in text
    assert "Beside it: coherence" in text
    page = write_ledger(tmp_path / "ledger.html", [result]).read_text()
    assert "against 3 times <code>greedy</code>" in page
    assert page.count("Beside it") == 2
