"""Language models and the texts they write: perplexity, isotropy, repetition and coherence."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from likewise.core.batch import Tokens, rows
from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.core.recipe import part
from likewise.data.dataset import Dataset
from likewise.data.vocabulary import Vocabulary
from likewise.evaluate.catalogue import DECODERS, TEXT_METRICS
from likewise.evaluate.features import Views, at_rest
from likewise.evaluate.measure import Asked, Measure
from likewise.functional.text import IGNORED, next_token_nll, repetition, token_similarity
from likewise.parts.generation import decoder, generate
from likewise.parts.language import LanguageLearner, next_tokens

_AT_ONCE = 2**22  # logits of so many positions and tokens are held at a time


@part("measure")
class Generation(Measure):
    """Perplexity and isotropy on test text, and what decoders write after the beginnings of test rows.

    Repetition is of words, as in SimCTG's code; coherence is the mean log-probability of the new tokens under the
    model itself. Continuations never end early, so that all have the same length. Where a row has room for it, the
    text's own continuation is measured the same way (``text``).

    Args:
        decoders: by name, each with settings behind it, ``"contrastive-search k=5 alpha=0.6"``.
        prompts: how many test rows to continue.
        prefix: tokens of a row that are given.
        steps: tokens that are written.
        rows: test rows that perplexity and isotropy are measured on, at most.
    """

    untrained = ("perplexity",)  # the states of random weights are spread, which says nothing

    def __init__(
        self,
        *,
        decoders: tuple[str, ...] = ("greedy", "nucleus", "contrastive-search"),
        prompts: int = 50,
        prefix: int = 32,
        steps: int = 64,
        rows: int = 1000,
    ) -> None:
        for name, value in (("prompts", prompts), ("prefix", prefix), ("steps", steps), ("rows", rows)):
            if value < 1:
                raise InputError(f"generation: {name}={value} must be at least 1")
        self.decoders, self.prompts, self.prefix, self.steps, self.rows = decoders, prompts, prefix, steps, rows

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric that may come out."""
        writers = dict.fromkeys([*DECODERS, *(_written(text)[0] for text in self.decoders), "text"])
        return ("perplexity", "isotropy", *(f"{m}_{_plain(name)}" for name in writers for m in TEXT_METRICS))

    def measured(self, asked: Asked) -> dict[str, Any]:
        """Of the model, then of what each decoder wrote."""
        dataset, model = asked.dataset, _language(asked.learner)
        index = _spread(dataset.test_rows, self.rows)
        if not len(index):
            raise InputError(f"{dataset.name} has no test rows")
        view = asked.views.plain(dataset.take(index))["text"]
        assert isinstance(view, Tokens)
        with at_rest(asked.learner, asked.device) as where:
            out: dict[str, Any] = _of_model(model, view, where) if asked.wants("perplexity", "isotropy") else {}
            long = (view.mask.sum(1) >= min(self.prefix, view.ids.shape[1])).nonzero().flatten()
            chosen = _spread(long, self.prompts)
            vocabulary = Vocabulary(dataset.known["vocabulary"])
            begun = view.ids[chosen, : self.prefix].to(where)
            for written in self.decoders if len(chosen) else ():
                name, settings = _written(written)
                if not asked.wants(*(f"{m}_{_plain(name)}" for m in TEXT_METRICS)):
                    continue
                banned = (vocabulary.pad, vocabulary.unknown, vocabulary.end)
                new = generate(model, decoder(name, settings), begun, self.steps, banned=banned, seed=asked.seed)
                out |= _of_texts(model, begun, new, vocabulary, name)
            rest = view.ids[chosen, self.prefix : self.prefix + self.steps].to(where)
            whole = view.mask[chosen].sum(1) >= self.prefix + self.steps
            if whole.any():
                out |= _of_texts(model, begun[whole], rest[whole], vocabulary, "text")
        return out

    def illustrate(self, learner: Learner, views: Views, dataset: Dataset, folder: Path) -> None:
        """Write what each decoder makes of the beginnings of a few test rows to ``texts.json``."""
        model, vocabulary = _language(learner), Vocabulary(dataset.known["vocabulary"])
        view = views.plain(dataset.take(_spread(dataset.test_rows, 50)))["text"]
        assert isinstance(view, Tokens)
        long = (view.mask.sum(1) >= min(self.prefix, view.ids.shape[1])).nonzero().flatten()
        texts: list[dict[str, str]] = []
        with at_rest(learner) as where:
            begun = view.ids[_spread(long, 3), : self.prefix].to(where)
            banned = (vocabulary.pad, vocabulary.unknown, vocabulary.end)
            for written in self.decoders if len(begun) else ():
                new = generate(model, decoder(*_written(written)), begun, self.steps, banned=banned)
                for old, more in zip(begun.tolist(), new.tolist()):
                    said = {"prompt": vocabulary.decode(old), "text": vocabulary.decode(more)}
                    texts.append({**said, "decoder": written})
        (folder / "texts.json").write_text(json.dumps({"texts": texts}, ensure_ascii=False, indent=1), encoding="utf-8")

    def probe(self, learner: Learner, views: Views, dataset: Dataset, *, rows: int, seed: int) -> dict[str, Any]:
        """Perplexity and isotropy on a few test rows."""
        index = _spread(dataset.test_rows, min(rows, 200))
        if not len(index):
            return {}
        view = views.plain(dataset.take(index))["text"]
        assert isinstance(view, Tokens)
        with at_rest(learner) as where:
            return _of_model(_language(learner), view, where)


def _language(learner: Learner) -> LanguageLearner:
    if not isinstance(learner, LanguageLearner):
        raise InputError(f"{type(learner).__name__} is no language model, so there is no text to measure")
    return learner


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _written(text: str) -> tuple[str, dict[str, str]]:
    """A decoder's name and settings from ``"contrastive-search k=5 alpha=0.6"``."""
    words = text.split()
    pairs = [word.partition("=") for word in words[1:]]
    if not words or not all(sign and value for _, sign, value in pairs):
        raise InputError(f"generation: decoder {text!r} is not like 'contrastive-search k=5 alpha=0.6'")
    return words[0], {name: value for name, _, value in pairs}


def _spread(index: Tensor, count: int) -> Tensor:
    """At most ``count`` entries, evenly."""
    if len(index) <= count:
        return index
    return index[torch.linspace(0, len(index) - 1, count).long()]


def _of_model(model: LanguageLearner, view: Tokens, device: torch.device) -> dict[str, float]:
    """Perplexity of the next token and isotropy, ratios of sums over the corpus."""
    nll = similar = 0.0
    predicted = pairs = 0
    size = max(1, _AT_ONCE // (view.ids.shape[1] * 1000))
    for index in torch.arange(len(view.ids)).split(size):
        held: Tokens = rows(view, index)
        held = Tokens(held.ids.to(device), held.mask.to(device))
        logits, hidden, _ = model.read(held.ids)
        labels = next_tokens(held)
        nll += float(next_token_nll(logits, labels).sum())
        predicted += int((labels != IGNORED).sum())
        sums, counts = token_similarity(hidden, held.mask)
        similar, pairs = similar + float(sums.sum()), pairs + int(counts.sum())
    out = {"perplexity": math.exp(min(700.0, nll / max(1, predicted)))}
    return out | ({"isotropy": 1 - similar / pairs} if pairs else {})


def _of_texts(
    model: LanguageLearner, begun: Tensor, new: Tensor, vocabulary: Vocabulary, name: str
) -> dict[str, float]:
    """Repetition of the words, and coherence, of continuations ``new (n, m)`` of ``begun (n, t)``."""
    found = repetition([vocabulary.decode(ids).split() for ids in new.tolist()])
    total = 0.0
    for old, more in zip(begun.split(16), new.split(16)):
        logits, _, _ = model.read(torch.cat([old, more], 1))
        labels = torch.cat([torch.full_like(old[:, 1:], IGNORED), more, torch.full_like(old[:, :1], IGNORED)], 1)
        total -= float(next_token_nll(logits, labels).sum())
    found["coherence"] = total / new.numel()
    return {f"{metric}_{_plain(name)}": found[metric] for metric in TEXT_METRICS}
