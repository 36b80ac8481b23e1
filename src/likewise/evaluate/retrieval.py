"""Retrieval across modalities: a missing one from all the others, and one from one other."""

import hashlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from likewise.core.batch import Tokens, View
from likewise.core.draws import Draws
from likewise.core.errors import InputError, near
from likewise.core.learner import Learner
from likewise.core.recipe import part
from likewise.data.dataset import Dataset
from likewise.evaluate.features import Views, extract
from likewise.evaluate.measure import Asked, Measure
from likewise.similarity import unit_rows

WHICH = ("first", "second", "third")
KS = (1, 5, 10)
WRONG = 9
"""Wrong candidates beside the right one."""


@part("measure")
class Retrieval(Measure):
    """Every modality of the test samples looked for, from all others together and from each other alone.

    A learner tells the modalities' names (``roles``), embeds each, and makes of the others' unit vectors a ``query``
    that is compared with the candidates' unit vectors by dot product. Right is the sample's own value, and any that
    counts as the same: equal content, or what the data say (``Dataset.shared["answers"]``).

    Args:
        queries: test samples that are looked for at a time; memory is so many times their number.
    """

    untrained = ("retrieval", "retrieval_10", "pair_recall_1")

    def __init__(self, queries: int = 1024) -> None:
        if queries < 1:
            raise InputError(f"retrieval: queries={queries} must be at least 1")
        self.queries = queries

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric that may come out."""
        of_one = tuple(f"retrieval_{which}" for which in WHICH)
        return ("retrieval", "retrieval_10", *of_one, *(f"pair_recall_{k}" for k in KS), "retrieval_chance")

    def measured(self, asked: Asked) -> dict[str, Any]:
        """Shares of the test samples; see the class."""
        found = self._measured(
            asked.learner, asked.views, asked.dataset, asked.dataset.test_rows, asked.seed, asked.device
        )
        return {name: found[name] for name in self.names if name in found}

    def probe(self, learner: Learner, views: Views, dataset: Dataset, *, rows: int, seed: int) -> dict[str, Any]:
        """What an untrained learner is measured by, too, for at most ``rows`` test samples."""
        index = dataset.test_rows[:rows]
        found = self._measured(learner, views, dataset, index, seed, None) if len(index) > 1 else {}
        return {name: value for name, value in found.items() if name in self.untrained}

    def _measured(
        self,
        learner: Learner,
        views: Views,
        dataset: Dataset,
        index: Tensor,
        seed: int,
        device: torch.device | str | None,
    ) -> dict[str, float]:
        roles = tuple(getattr(learner, "roles", ()))
        query = getattr(learner, "query", None)
        if query is None or not roles:
            raise InputError(
                f"{type(learner).__name__} has one kind of input, and nothing to be retrieved from another"
            )
        if len(index) < 2:
            raise InputError(f"{dataset.name} has {len(index)} test samples; retrieval needs 2 at least")
        held = {r: unit_rows(extract(learner, views, dataset, index, role=r, device=device)) for r in roles}
        columns, told = dataset.take(index), dataset.shared.get("answers", {})
        # the set may have been cut down since: answers are of all its rows, or not used
        told = {role: numbers[index] for role, numbers in told.items() if len(numbers) == len(dataset)}
        same = {role: told[role] if role in told else same_content(columns[role]) for role in roles}
        out: dict[str, float] = {}
        first, of_ten, chance = [], [], []
        for role in roles:
            asked = query([held[r] for r in roles if r != role])
            first.append(found_within(asked, held[role], same[role], (1,), self.queries)[0])
            of_ten.append(found_among_few(asked, held[role], same[role], seed))
            chance.append(float((same[role].bincount().double() / len(index)).square().sum()))
        out["retrieval"], out["retrieval_chance"] = _mean(first), _mean(chance)
        out |= {f"retrieval_{which}": value for which, value in zip(WHICH, first)}
        if all(value is not None for value in of_ten):
            out["retrieval_10"] = _mean([value for value in of_ten if value is not None])
        pairs = [found_within(held[a], held[b], same[b], KS, self.queries) for a, b in itertools.permutations(roles, 2)]
        return out | {f"pair_recall_{k}": _mean([p[i] for p in pairs]) for i, k in enumerate(KS)}


def missing(
    learner: Learner,
    views: Views,
    dataset: Dataset,
    index: Tensor,
    role: str,
    *,
    device: torch.device | str | None = None,
) -> Tensor:
    """What stands for a modality that rows ``index (k,)`` lack, from those that they have: ``(k, d)``.

    Raises:
        InputError: the learner knows no such modality, or the rows have none of the others.
    """
    roles: tuple[str, ...] = learner.roles  # type: ignore[assignment]
    if role not in roles:
        raise InputError(f"the run has no modality {role!r}{near(role, roles)}")
    given = [r for r in roles if r != role and r in dataset.columns]
    if not given:
        raise InputError(f"{dataset.name} has none of the run's modalities: {', '.join(roles)}")
    rows = [unit_rows(extract(learner, views, dataset, index, role=r, device=device)) for r in given]
    out: Tensor = learner.query(rows)  # type: ignore[operator]
    return out


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def same_content(column: View) -> Tensor:
    """A number for each row of a column, ``(n,)``; equal rows have the same."""
    if isinstance(column, Tokens):
        column = column.ids * column.mask
    if not isinstance(column, Tensor):
        raise InputError(f"a column of {type(column).__name__} has no rows to compare")
    numbers: dict[bytes, int] = {}
    rows = np.ascontiguousarray(column.numpy().reshape(len(column), -1))
    digests = (hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows)
    return torch.tensor([numbers.setdefault(digest, len(numbers)) for digest in digests])


def found_within(
    query: Tensor, candidates: Tensor, same: Tensor, ks: tuple[int, ...], queries: int = 1024
) -> list[float]:
    """The share of queries with a right candidate among the first k, for each k.

    Args:
        query: ``(n, d)``.
        candidates: ``(n, d)``, candidate i is that of query i.
        same: ``(n,)`` numbers; every candidate with the query's number is right.
        ks: lengths of the list.
        queries: at a time.
    """
    hits = torch.zeros(len(ks), dtype=torch.int64)
    most = min(max(ks), len(candidates))
    for rows in torch.arange(len(query)).split(queries):
        top = (query[rows] @ candidates.T).topk(most, dim=1).indices
        right = same[top] == same[rows, None]
        hits += torch.stack([right[:, :k].any(1).sum() for k in ks])
    return [float(value) for value in hits.double() / len(query)]


def found_among_few(query: Tensor, candidates: Tensor, same: Tensor, seed: int) -> float | None:
    """The share of queries whose own candidate beats :data:`WRONG` wrong ones, drawn with replacement.

    None where all candidates count as the same.
    """
    order = same.argsort(stable=True)
    size = same.bincount()[same]
    if int(size.max()) == len(same):
        return None
    start = torch.searchsorted(same[order], same)
    nth = (Draws(seed, 0, torch.arange(len(same))).uniform(WRONG) * (len(same) - size)[:, None]).long()
    nth = nth.minimum((len(same) - size - 1)[:, None])
    wrong = order[nth + torch.where(nth >= start[:, None], size[:, None], 0)]
    best = (query[:, None] * candidates[wrong]).sum(2).amax(1)
    return float(((query * candidates).sum(1) > best).double().mean())


@part("measure")
class Answers(Measure):
    """Answers to questions about test pictures looked for among all answers to test questions, a turn a sequence.

    Right is any answer of the same words.

    Args:
        queries: questions at a time; memory is so many times the number of answers.
    """

    untrained = ("turn_recall_1",)
    names = (*(f"turn_recall_{k}" for k in KS), "turn_chance")

    def __init__(self, queries: int = 1024) -> None:
        if queries < 1:
            raise InputError(f"answers: queries={queries} must be at least 1")
        self.queries = queries

    def measured(self, asked: Asked) -> dict[str, Any]:
        """Shares of the questions."""
        return self._measured(asked.learner, asked.views, asked.dataset, asked.dataset.test_rows, asked.device)

    def probe(self, learner: Learner, views: Views, dataset: Dataset, *, rows: int, seed: int) -> dict[str, Any]:
        """The share found first, for at most ``rows`` test pictures."""
        index = dataset.test_rows[:rows]
        found = self._measured(learner, views, dataset, index, None) if len(index) else {}
        return {name: value for name, value in found.items() if name in self.untrained}

    def _measured(
        self, learner: Learner, views: Views, dataset: Dataset, index: Tensor, device: torch.device | str | None
    ) -> dict[str, float]:
        turns, turn = int(dataset.known.get("turns", 0)), getattr(views, "turn", None)
        if not turns or turn is None:
            raise InputError(f"{dataset.name} has no turns of questions and answers")
        if not len(index):
            raise InputError(f"{dataset.name} has no test pictures")
        held: dict[str, list[Tensor]] = {"query": [], "target": []}
        for number, (role, parts) in itertools.product(range(turns), held.items()):
            parts.append(extract(learner, _Turn(turn, number), dataset, index, role=role, device=device))
        query, target = (unit_rows(torch.cat(parts)) for parts in held.values())
        answer = dataset.take(index)["answer"]
        assert isinstance(answer, Tokens)
        same = same_content(Tokens(answer.ids.transpose(0, 1).flatten(0, 1), answer.mask.transpose(0, 1).flatten(0, 1)))
        found = found_within(query, target, same, KS, self.queries)
        chance = float((same.bincount().double() / len(same)).square().sum())
        return {f"turn_recall_{k}": value for k, value in zip(KS, found)} | {"turn_chance": chance}


class _Turn:
    """Views of one turn."""

    def __init__(self, turn: Callable[[dict[str, View], int], dict[str, View]], number: int) -> None:
        self.turn, self.number = turn, number

    def __call__(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """As it is evaluated."""
        return self.plain(columns)

    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """Of this turn."""
        return self.turn(columns, self.number)
