"""Language models: what they cost, what they contrast, what they know of the past; runs from text to text."""

import json

import pytest
import torch
from torch import nn

from likewise.api import Run
from likewise.core.batch import Batch, Tokens
from likewise.core.comm import Collective
from likewise.core.errors import InputError
from likewise.core.registry import load
from likewise.data.resolve import from_object
from likewise.functional.text import n_grams, repetition, token_contrast, token_similarity
from likewise.methods.text.simctg import SimCTG
from likewise.parts.encoders.gpt import GPT
from likewise.parts.language import next_tokens
from likewise.train.plan import Plan, prepare
from likewise.train.run import train


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return GPT(depth=2, dim=16, heads=2, num_tokens=11)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simctg") / "run"
    train(prepare(load("simctg"), size="tiny", settings=[("steps", 3)]), folder, quiet=True)
    return Run(folder)


def text(*lengths, width=6):
    mask = torch.arange(width) < torch.tensor(lengths)[:, None]
    torch.manual_seed(1)
    return Tokens(torch.randint(3, 11, mask.shape) * mask, mask)


def test_a_cache_changes_nothing(model):
    ids = torch.randint(11, (3, 9))
    whole, _ = model(ids)
    first, cache = model(ids[:, :4])
    second, cache = model(ids[:, 4:8], cache)
    last, _ = model(ids[:, 8:], cache)
    torch.testing.assert_close(torch.cat([first, second, last], 1), whole)


def test_no_token_sees_a_later_one(model):
    ids = torch.randint(11, (2, 7))
    other = ids.clone()
    other[:, 4:] = (other[:, 4:] + 1) % 11
    assert torch.equal(model(ids)[0][:, :4], model(other)[0][:, :4])
    assert not torch.allclose(model(ids)[0][:, 4:], model(other)[0][:, 4:])


def test_labels_are_the_next_tokens_and_padding_has_none():
    view = text(6, 3, 1)
    labels = next_tokens(view)
    assert torch.equal(labels[0, :5], view.ids[0, 1:])
    assert labels[0, 5] == -100
    assert torch.equal(labels[1, :2], view.ids[1, 1:3])
    assert (labels[1, 2:] == -100).all()
    assert (labels[2] == -100).all()


def slow_contrast(hidden, lengths, margin, prefix):
    total, pairs = 0.0, 0
    for rows, length in zip(hidden, lengths):
        unit = nn.functional.normalize(rows, dim=1)
        for i in range(length):
            for j in range(length):
                if i != j and not (i < prefix and j < prefix):
                    total += max(0.0, float(margin - unit[i] @ unit[i] + unit[i] @ unit[j]))
                    pairs += 1
    return total, pairs


@pytest.mark.parametrize("prefix", [0, 2, 9])
def test_contrast_is_the_paper_s_sum(prefix):
    view = text(6, 3, 1)
    hidden = torch.randn(3, 6, 4, dtype=torch.float64) + 1
    penalties, pairs = token_contrast(hidden, view.mask, margin=0.7, prefix=prefix)
    total, count = slow_contrast(hidden, (6, 3, 1), 0.7, prefix)
    assert float(penalties.sum()) == pytest.approx(total)
    assert int(pairs.sum()) == count


def test_isotropy_is_one_minus_the_mean_cosine():
    view = text(6, 2, 1)
    hidden = torch.randn(3, 6, 4, dtype=torch.float64)
    sums, pairs = token_similarity(hidden, view.mask)
    unit = nn.functional.normalize(hidden, dim=2)
    wanted = sum(float(unit[b, i] @ unit[b, j]) for b, n in enumerate((6, 2, 1)) for i in range(n) for j in range(n))
    wanted -= 9
    assert float(sums.sum()) == pytest.approx(wanted)
    assert pairs.tolist() == [30, 2, 0]


def test_nothing_to_contrast_costs_nothing():
    torch.manual_seed(0)
    learner = SimCTG(GPT(depth=1, dim=8, heads=2, num_tokens=11))
    batch = Batch({"text": text(1, 1)}, torch.arange(2))
    step = learner.objective(learner.encode(batch), batch, Collective())
    step.loss.backward()
    assert float(step.loss.detach()) == 0
    assert all(p.grad.isfinite().all() for p in learner.parameters())


def test_sequences_do_not_meet():
    """Tokens of other sequences change neither the contrast nor the embedding of a sequence."""
    torch.manual_seed(0)
    learner = SimCTG(GPT(depth=1, dim=8, heads=2, num_tokens=11)).eval()
    view, alone = text(6, 4), text(6)
    z = learner.encode(Batch({"text": view}, torch.arange(2)))["hidden"]
    one, _ = token_contrast(z[:1], view.mask[:1], margin=2.0)
    both, _ = token_contrast(z, view.mask, margin=2.0)
    assert torch.allclose(one[0], both[0])
    torch.testing.assert_close(learner.embed(view)[:1], learner.embed(Tokens(view.ids[:1], alone.mask)))


def test_repetition_by_hand():
    words = ["a", "b", "a", "b", "c"]
    assert n_grams(words, 2) == (3, 4)  # ab ba ab bc
    assert n_grams(words, 2, variant="code") == (2, 3)  # the last is missed
    found = repetition([words])
    assert found["rep2"] == pytest.approx(25)
    assert found["diversity"] == pytest.approx(0.75)
    assert repetition([["a"]])["diversity"] == 1
    assert repetition([]) == {"rep2": 0.0, "rep3": 0.0, "rep4": 0.0, "diversity": 1.0}


@pytest.mark.parametrize("setting", [{"margin": -0.1}, {"margin": 3.0}, {"weight": -1.0}, {"prefix": -1}])
def test_wrong_settings(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        SimCTG(GPT(depth=1, dim=8, heads=2, num_tokens=5), **setting)


def test_a_run_has_its_metrics(run):
    found = run.metrics
    assert 1 < found["perplexity"] < found["untrained"]["perplexity"] * 1.2
    assert 0 <= found["isotropy"] <= 1.5
    for name in ("greedy", "nucleus", "contrastive_search", "text"):
        assert 0 <= found[f"diversity_{name}"] <= 1
        assert found[f"coherence_{name}"] < 0
    assert set(run.evaluate(what=["perplexity"])) == {"perplexity"}
    with pytest.raises(InputError, match="did you mean 'diversity_greedy'"):
        run.evaluate(what=["diversity_greed"])


def test_greedy_text_is_the_most_coherent(run):
    """Its first token is the likeliest by definition; draws of one step can't beat it."""
    found = run.plan.measure()
    found.steps = 1
    out = found.evaluate(run.learner, run.views, run.dataset())
    assert out["coherence_greedy"] >= out["coherence_nucleus"]
    assert out["coherence_greedy"] >= out["coherence_contrastive_search"]


def test_text_is_written_from_the_run_folder_alone(run, monkeypatch):
    again = Run(run.path)
    monkeypatch.setattr(Plan, "dataset", property(lambda plan: pytest.fail("the data were loaded")))
    out = again.generate("The import statement", "contrastive-search", steps=5, k=3)
    assert out == again.generate("The import statement", "contrastive-search", steps=5, k=3)
    first, second = again.generate(["The", "A much longer text"], "nucleus", steps=5, seed=3)
    assert [first, second] == again.generate(["The", "A much longer text"], "nucleus", steps=5, seed=3)
    assert isinstance(again.generate("", "greedy", steps=2), str)
    with pytest.raises(InputError, match="no setting 'kk'"):
        again.generate("The", "contrastive-search", kk=3)
    with pytest.raises(InputError, match="not a decoder"):
        again.generate("The", "simctg")


def test_the_page_shows_texts(run):
    texts = json.loads((run.path / "texts.json").read_text(encoding="utf-8"))["texts"]
    assert {one["decoder"] for one in texts} == {"greedy", "nucleus", "contrastive-search"}
    page = run.report().read_text(encoding="utf-8")
    assert 'id="texts"' in page
    assert page.count("<dt>contrastive-search</dt>") == len({one["prompt"] for one in texts})


def test_rows_are_embedded_and_found(run):
    texts = ["An import statement.", "Classes have methods, and methods have names.", "Numbers"]
    vectors = run.embed(texts)
    assert vectors.shape == (3, 16)
    hits = run.search("An import statement.", index=texts, k=1)
    assert hits[0].key == "0/0 An import statement."
    assert hits[0].score == pytest.approx(1, abs=1e-5)


def test_the_vocabulary_stands_in_the_recipe(run):
    facts = json.loads((run.path / "recipe.json").read_text(encoding="utf-8"))["facts"]
    assert facts["num_tokens"] == len(facts["vocabulary"])
    other = from_object(["quite other words"], modality="text")
    assert run.dataset(other).columns["text"].ids.max() < facts["num_tokens"]
