"""Recommendations measured: every item ranked for every user, what they have left out, the held-out ones looked for.

A learner is asked for the embeddings of users and items alone; a score is their dot product.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from likewise.core.errors import InputError, near
from likewise.core.learner import Learner
from likewise.core.recipe import part
from likewise.data.dataset import Dataset
from likewise.data.interactions import TEST, TRAIN, VALID
from likewise.evaluate.features import Views, extract
from likewise.evaluate.measure import Asked, Measure

KINDS = ("recall", "ndcg", "ndcg_found", "precision", "hit")


@part("measure", "ranking")
class Ranking(Measure):
    """Full ranking over all items, for every user with a held-out interaction.

    For each k: ``topK_recall``, ``topK_ndcg`` (against the best order of all of a user's items), ``topK_ndcg_found``
    (against the best order of those that were found, as some papers' code has it), ``topK_precision``, ``topK_hit``
    and ``topK_coverage``; and of the first k ``topK_recall_popular``, what the most popular items reach.

    Args:
        ks: lengths of the list; the first is what probes look at.
        split: whose interactions are looked for.
        mask_valid: leave a user's validation items out of the ranking for the test split, beside the training items,
            which always are (MMHCL's code does not).
        users: users at a time.
    """

    def __init__(
        self,
        ks: tuple[int, ...] = (20, 10),
        split: Literal["test", "valid"] = "test",
        mask_valid: bool = True,
        users: int = 1024,
    ) -> None:
        if not ks or min(ks) < 1:
            raise InputError(f"measure ks={ks}: lists have at least 1 item")
        self.ks, self.split, self.mask_valid, self.users = ks, split, mask_valid, users
        self.untrained = (f"top{ks[0]}_recall", f"top{ks[0]}_ndcg")

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric that may come out."""
        of_lists = [f"top{k}_{kind}" for k in self.ks for kind in (*KINDS, "coverage")]
        return (*of_lists, f"top{self.ks[0]}_recall_popular", "ranked_users")

    def measured(self, asked: Asked) -> dict[str, Any]:
        """Means over users; see the class."""
        dataset = asked.dataset
        user, item = embeddings(asked.learner, asked.views, dataset, asked.device)
        found = self._measured(dataset, user, item, self.split)
        if asked.wants(f"top{self.ks[0]}_recall_popular"):
            popular = dataset.shared["train"][1].bincount(minlength=len(item)).float()[:, None]
            of_all = self._measured(dataset, torch.ones(len(user), 1), popular, self.split)
            found[f"top{self.ks[0]}_recall_popular"] = of_all[f"top{self.ks[0]}_recall"]
        return {name: found[name] for name in self.names if name in found}

    def probe(self, learner: Learner, views: Views, dataset: Dataset, *, rows: int, seed: int) -> dict[str, Any]:
        """Recall and NDCG of the first k on the validation split, for at most ``rows`` users."""
        part = dataset.columns["part"]
        assert isinstance(part, Tensor)
        if not (part == VALID).any():
            return {}
        found = self._measured(dataset, *embeddings(learner, views, dataset), "valid", rows)
        return {name: found[name] for name in self.untrained}

    def _measured(
        self, dataset: Dataset, user: Tensor, item: Tensor, split: str, limit: int | None = None
    ) -> dict[str, Any]:
        pairs = {
            name: pairs_of(dataset, number) for name, number in (("test", TEST), ("valid", VALID), ("train", TRAIN))
        }
        if not pairs[split].shape[1]:
            raise InputError(f"{dataset.name} has no {split} interactions to rank for: nobody has 3 interactions")
        hidden = [pairs["train"]] + ([pairs["valid"]] if split == "test" and self.mask_valid else [])
        return ranking(user, item, pairs[split], torch.cat(hidden, 1), self.ks, self.users, limit)


def embeddings(
    learner: Learner, views: Views, dataset: Dataset, device: torch.device | str | None = None
) -> tuple[Tensor, Tensor]:
    """What a learner has for every user ``(u, d)`` and item ``(i, d)``, as they are."""
    out = []
    for role in ("user", "item"):
        held = table(dataset, role)
        rows = torch.arange(len(held))
        # one batch: a learner that propagates through a graph does so once
        out.append(extract(learner, views, held, rows, batch=len(held), role=role, device=device))
    return out[0], out[1]


def table(dataset: Dataset, role: str) -> Dataset:
    """The users, or items, that the rows refer to."""
    if role not in dataset.tables:
        raise InputError(f"{dataset.name} has no {role}s: recommendations need interactions of users with items")
    return dataset.tables[role]


def recommend(
    learner: Learner,
    views: Views,
    dataset: Dataset,
    user: str,
    k: int,
    *,
    known: bool = False,
    device: torch.device | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Scores and numbers ``(k,)`` at most of the items of largest score for one user, best first.

    Args:
        learner: in whatever mode.
        views: as it was trained with.
        dataset: interactions.
        user: by name.
        k: how many.
        known: rank what the user has in any part of the split, too.
        device: where to compute.

    Raises:
        InputError: data that are no interactions, no such user, or k below 1.
    """
    if k < 1:
        raise InputError(f"k={k}: must be at least 1")
    people, things = table(dataset, "user"), table(dataset, "item")
    names = list(map(str, people.keys))
    if user not in names:
        raise InputError(f"no user {user!r} in {dataset.name}{near(user, names, listed=False)}")
    number = names.index(user)
    one = torch.tensor([number])
    mine = extract(learner, views, people, one, role="user", device=device)
    every = torch.arange(len(things))
    scores = mine @ extract(learner, views, things, every, batch=len(things), role="item", device=device).T
    who, what = (dataset.columns[name] for name in ("user", "item"))
    assert isinstance(who, Tensor)
    assert isinstance(what, Tensor)
    hidden = what[who == number].sort().values + number * len(things)
    rows = topk(scores.clone(), one, hidden[:0] if known else hidden, k)[0]
    rows = rows[rows >= 0]
    return scores[0, rows], rows


def pairs_of(dataset: Dataset, number: int) -> Tensor:
    """Users and items ``(2, e)`` of the interactions of one part of the split."""
    user, item, part = (dataset.columns[name] for name in ("user", "item", "part"))
    assert isinstance(user, Tensor)
    assert isinstance(item, Tensor)
    return torch.stack([user, item])[:, part == number]


def ranking(
    user: Tensor,
    item: Tensor,
    wanted: Tensor,
    hidden: Tensor,
    ks: Sequence[int],
    users: int = 1024,
    limit: int | None = None,
) -> dict[str, float]:
    """Metrics of the items of largest dot product for each user with a wanted item, means over those users.

    Args:
        user: ``(u, d)``.
        item: ``(i, d)``.
        wanted: ``(2, e)`` pairs to be found.
        hidden: ``(2, e)`` pairs that are left out of the ranking; a wanted pair must not be among them.
        ks: lengths of the list.
        users: users at a time; memory is so many times the number of items.
        limit: only so many of the users, evenly spread.
    """
    num = len(item)
    wanted_keys = (wanted[0] * num + wanted[1]).sort().values
    hidden_keys = (hidden[0] * num + hidden[1]).sort().values
    asked, count = wanted[0].unique(return_counts=True)
    if limit is not None and limit < len(asked):
        some = torch.linspace(0, len(asked) - 1, limit).long()
        asked, count = asked[some], count[some]
    sums, shown = torch.zeros(len(ks), len(KINDS), dtype=torch.float64), torch.zeros(len(ks), num, dtype=torch.bool)
    for mine, positives in zip(asked.split(users), count.split(users)):
        top = topk(user[mine] @ item.T, mine, hidden_keys, max(ks))
        keys = mine[:, None] * num + top.clamp(min=0)
        place = torch.searchsorted(wanted_keys, keys).clamp(max=len(wanted_keys) - 1)
        hits = (wanted_keys[place] == keys) & (top >= 0)
        for n, k in enumerate(ks):
            sums[n] += torch.stack([v.sum() for v in of_hits(hits, positives, k).values()])
            shown[n, top[:, :k][top[:, :k] >= 0]] = True
    means = (sums / len(asked)).tolist()
    out = {f"top{k}_{kind}": value for k, row in zip(ks, means) for kind, value in zip(KINDS, row)}
    out |= {f"top{k}_coverage": float(row.double().mean()) for k, row in zip(ks, shown)}
    return out | {"ranked_users": len(asked)}


def topk(scores: Tensor, users: Tensor, hidden_keys: Tensor, k: int) -> Tensor:
    """The ``k`` items of largest score that are not hidden, ``(n, k)``, best first; -1 where there are no more.

    Args:
        scores: ``(n, items)``; overwritten.
        users: ``(n,)`` who they are, ascending.
        hidden_keys: ``user * items + item``, sorted.
        k: how many.
    """
    num = scores.shape[1]
    first = torch.searchsorted(hidden_keys, users * num)
    size = torch.searchsorted(hidden_keys, (users + 1) * num) - first
    row = torch.arange(len(users)).repeat_interleave(size)
    nth = torch.arange(len(row)) - (size.cumsum(0) - size)[row]
    scores[row, hidden_keys[first[row] + nth] % num] = -torch.inf
    best, index = scores.topk(min(k, num), dim=1)
    out = torch.full((len(users), k), -1)
    out[:, : index.shape[1]] = torch.where(best == -torch.inf, -1, index)
    return out


def of_hits(hits: Tensor, positives: Tensor, k: int) -> dict[str, Tensor]:
    r"""Metrics ``(n,)`` of each of :data:`KINDS` from which of the first places are hits.

    .. math:: \mathrm{NDCG} = \sum_{r\le k}\frac{h_r}{\log_2(r+1)} \Big/ \sum_{r\le\min(k, p)}\frac1{\log_2(r+1)}

    with h the hits and p the user's number of positives. ``ndcg_found`` divides by the best order of the hits within
    ``hits`` instead (of all its columns, cut at k, as MMHCL's and LATTICE's code).

    Args:
        hits: ``(n, K)`` bool, best first, K at least k unless there are fewer items.
        positives: ``(n,)`` int64.
        k: length of the list.
    """
    cut = hits[:, :k].double()
    discount = torch.arange(2, k + 2, dtype=torch.float64).log2().reciprocal()
    ideal = torch.cat([discount.new_zeros(1), discount.cumsum(0)])
    gained, number = (cut * discount[: cut.shape[1]]).sum(1), cut.sum(1)
    found = ideal[hits.sum(1).clamp(max=k)]
    return {
        "recall": number / positives,
        "ndcg": gained / ideal[positives.clamp(max=k)],
        "ndcg_found": torch.where(found > 0, gained / found.clamp(min=1e-12), 0.0),
        "precision": number / k,
        "hit": (number > 0).double(),
    }
