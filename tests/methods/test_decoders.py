"""What each decoder chooses, by hand; the loop around them; models of other people."""

import math
from types import SimpleNamespace

import pytest
import torch

from likewise.core.decoder import Sources
from likewise.core.errors import InputError
from likewise.methods.decoding.classic import Beam, Greedy, Nucleus, TopK, Typical
from likewise.methods.decoding.contrastive_search import ContrastiveSearch
from likewise.parts.encoders.gpt import GPT
from likewise.parts.generation import decoder, generate
from likewise.parts.language import LanguageLearner
from likewise.parts.pretrained import CausalLM, load, writer


class Table:
    """A model of two kinds of state, whose next token depends on the last one alone: logits from a table."""

    def __init__(self, probs):
        self.logits = torch.tensor(probs).log()
        self.calls = []

    def read(self, ids, cache=None):
        self.calls.append(tuple(ids.shape))
        hidden = torch.nn.functional.one_hot(ids % 3, 3).float()
        return self.logits[ids], hidden, torch.zeros(len(ids), 1) if cache is None else cache

    def select(self, cache, index):
        return cache[index]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    out = LanguageLearner(GPT(depth=2, dim=16, heads=2, num_tokens=30)).eval()
    with torch.no_grad():
        out.encoder.embedding.weight.mul_(20)
    return out


PROMPTS = torch.tensor([[3, 9, 4], [11, 5, 28]])


def at(probs, history=None, ahead=None):
    states = torch.zeros(1, 1, 2) if history is None else history
    logits = torch.tensor([probs]).log()
    return Sources({"expert": logits}, torch.zeros(1, 1, dtype=torch.long), states, ahead)


def kept(one, probs):
    return one.score(at(probs)).isfinite()[0].nonzero().flatten().tolist()


def test_which_tokens_are_drawn_from():
    probs = [0.4, 0.05, 0.3, 0.2, 0.05]
    assert kept(TopK(k=2), probs) == [0, 2]
    assert kept(TopK(k=50), probs) == [0, 1, 2, 3, 4]
    assert kept(Nucleus(p=0.5), probs) == [0, 2]  # the token that reaches the mass stays
    assert kept(Nucleus(p=0.39), probs) == [0]
    assert kept(Nucleus(p=1.0), probs) == [0, 1, 2, 3, 4]
    # information 0.9, 3.0, 1.2, 1.6, 3.0 nats, entropy 1.35: the third token is nearest, the fourth next
    assert kept(Typical(mass=0.3), probs) == [2]
    assert kept(Typical(mass=0.4), probs) == [2, 3]


def test_draws_have_the_distribution():
    table = Table([[0.1, 0.6, 0.3], [1 / 3] * 3, [1 / 3] * 3])
    prompts = torch.zeros(3000, 1, dtype=torch.long)
    found = torch.bincount(generate(table, TopK(k=3), prompts, 1).flatten(), minlength=3) / 3000
    assert found.tolist() == pytest.approx([0.1, 0.6, 0.3], abs=0.03)
    found = torch.bincount(generate(table, TopK(k=3, temperature=0.5), prompts, 1).flatten(), minlength=3) / 3000
    assert found.tolist() == pytest.approx([0.01 / 0.46, 0.36 / 0.46, 0.09 / 0.46], abs=0.03)


def test_beam_search_finds_the_likelier_text():
    """The likeliest first token leads to an unlikely second one; of all texts of two tokens, beam finds the best."""
    table = Table([[0.02, 0.5, 0.48], [0.34, 0.33, 0.33], [0.02, 0.08, 0.9]])
    start = torch.tensor([[0]])
    assert generate(table, Greedy(), start, 2).tolist() == [[1, 0]]
    assert generate(table, Beam(beams=2), start, 2).tolist() == [[2, 2]]


def test_beam_search_is_exhaustive_with_enough_beams(model):
    new = generate(model, Beam(beams=30), PROMPTS, 2)
    for prompt, found in zip(PROMPTS, new):
        first = model.read(prompt[None])[0][0, -1].log_softmax(0)
        grown = torch.cat([prompt.expand(30, 3), torch.arange(30)[:, None]], 1)
        both = first[:, None] + model.read(grown)[0][:, -1].log_softmax(1)
        assert found.tolist() == [int(both.argmax()) // 30, int(both.argmax()) % 30]


def test_contrastive_search_by_hand():
    history = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    states = torch.tensor([[[3.0, 0.0], [1.0, 1.0]]])  # like the first token; half like both
    found = ContrastiveSearch(k=2, alpha=0.6).score(at([0.5, 0.1, 0.4], history, lambda c: states))
    assert found[0].tolist() == pytest.approx([0.4 * 0.5 - 0.6, -math.inf, 0.4 * 0.4 - 0.6 / math.sqrt(2)], abs=1e-5)


def test_contrastive_search_equals_its_slow_version(model):
    """One pass over k sequences a token, from the cache, against reading every candidate's whole text again."""
    k, alpha = 4, 0.7
    for prompt in PROMPTS:
        text = prompt
        for _ in range(8):
            probs, best = model.read(text[None])[0][0, -1].softmax(0).topk(k)
            scores = []
            for p, v in zip(probs, best):
                hidden = torch.nn.functional.normalize(model.read(torch.cat([text, v[None]])[None])[1][0], dim=1)
                scores.append((1 - alpha) * p - alpha * (hidden[:-1] @ hidden[-1]).max())
            text = torch.cat([text, best[torch.stack(scores).argmax()][None]])
        new = generate(model, ContrastiveSearch(k=k, alpha=alpha), prompt[None], 8)
        assert new[0].tolist() == text[3:].tolist()


@pytest.mark.parametrize("settings", [{"k": 1, "alpha": 0.6}, {"k": 5, "alpha": 0.0}])
def test_contrastive_search_without_choice_or_penalty_is_greedy(model, settings):
    greedy = generate(model, Greedy(), PROMPTS, 12)
    assert torch.equal(generate(model, ContrastiveSearch(**settings), PROMPTS, 12), greedy)
    assert not torch.equal(generate(model, ContrastiveSearch(k=5, alpha=0.6), PROMPTS, 12), greedy)


def test_candidates_are_read_once():
    table = Table([[0.2, 0.5, 0.3]] * 3)
    generate(table, ContrastiveSearch(k=2), torch.tensor([[0, 1], [2, 1]]), 4)
    assert table.calls == [(2, 2)] + [(4, 1)] * 4


def test_a_text_stops_at_its_end():
    table = Table([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1]])
    assert generate(table, Greedy(), torch.tensor([[0]]), 9, end=2).tolist() == [[1, 2]]
    assert generate(table, Greedy(), torch.tensor([[0], [2]]), 9, end=2).tolist() == [[1, 2, 0], [0, 1, 2]]
    assert generate(table, Greedy(), torch.tensor([[0]]), 4, banned=[2]).tolist() == [[1, 0, 1, 0]]


def test_an_ended_beam_keeps_its_score():
    """An early end of probability 0.4 stays ahead of every longer text."""
    table = Table([[0.1, 0.5, 0.4], [0.5, 0.3, 0.2], [1 / 3] * 3])
    assert generate(table, Beam(beams=3), torch.tensor([[0]]), 5, end=2)[0, 0] == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ContrastiveSearch(k=0), "k=0"),
        (lambda: ContrastiveSearch(alpha=1.5), "alpha=1.5"),
        (lambda: Nucleus(p=0.0), "p=0.0"),
        (lambda: Typical(mass=2.0), "mass=2.0"),
        (lambda: TopK(k=0), "k=0"),
        (lambda: TopK(temperature=0.0), "temperature=0.0"),
        (lambda: Beam(beams=1), "beams=1"),
        (lambda: decoder("nucleus", {"p": "much"}), "expected a number"),
        (lambda: decoder("greedyy"), "did you mean 'greedy'"),
    ],
)
def test_wrong_settings_of_decoders(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_decoder_says_which_source_is_missing(model):
    class Needy(Greedy):
        needs = ("amateur",)

        def score(self, sources):
            return sources.logits["expert"] - sources.logits["amateur"]

    with pytest.raises(InputError, match="needs the source 'amateur'"):
        generate(model, Needy(), PROMPTS, 2)
    both = generate(model, Needy(), PROMPTS, 3, others={"amateur": Table([[1 / 30] * 30] * 30)})
    assert torch.equal(both, generate(model, Greedy(), PROMPTS, 3))  # an amateur that knows nothing changes nothing


# --- models of transformers, by an object with their interface --------------------------------------------------------


class FakeCache:
    def __init__(self, held):
        self.held = held

    def batch_select_indices(self, index):
        self.held = [(k[index], v[index]) for k, v in self.held]


class FakeCausalLM:
    """Our own model behind the interface of transformers."""

    device = torch.device("cpu")

    def __init__(self, inner):
        self.inner = inner

    def eval(self):
        return self

    def __call__(self, input_ids, past_key_values=None, use_cache=False, output_hidden_states=False):
        assert use_cache
        assert output_hidden_states
        logits, hidden, cache = self.inner.read(input_ids, None if past_key_values is None else past_key_values.held)
        return SimpleNamespace(logits=logits, hidden_states=(hidden * 0, hidden), past_key_values=FakeCache(cache))


class FakeTokenizer:
    eos_token_id, bos_token_id = 1, None

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [int(word) for word in text.split()]}

    def decode(self, ids, skip_special_tokens=False):
        return " ".join(str(i) for i in ids if not (skip_special_tokens and i == 1))


@pytest.mark.parametrize("one", [Greedy(), Nucleus(), ContrastiveSearch(), Beam(beams=3)])
def test_a_model_of_transformers_writes_the_same(model, one):
    theirs = generate(CausalLM(FakeCausalLM(model)), one, PROMPTS, 6)
    assert torch.equal(theirs, generate(model, one, PROMPTS, 6))


def test_a_model_of_transformers_from_text_to_text(model):
    writes = writer(FakeCausalLM(model), FakeTokenizer())
    texts = writes.write(["3 9 4", ""], ContrastiveSearch(), 5, stop=False)
    assert [len(text.split()) for text in texts] == [5, 5]
    assert "1" not in " ".join(texts).split()
    wanted = generate(model, ContrastiveSearch(), torch.tensor([[1, 3, 9, 4]]), 5, banned=[1])[0].tolist()
    assert texts[0] == " ".join(map(str, wanted))


def test_models_come_from_folders_alone(tmp_path):
    with pytest.raises(InputError, match="no folder at 'gpt2'"):
        load("gpt2")
    with pytest.raises(InputError, match=r"transformers|causal model"):
        load(tmp_path)
