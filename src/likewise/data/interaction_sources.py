"""Interactions that have names."""

import numpy as np
import torch

from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.catalogue import about, need
from likewise.data.dataset import Dataset
from likewise.data.interactions import Log, Split
from likewise.data.item_features import describe
from likewise.data.table import read_columns


@part("data")
def ml_100k(
    threshold: float = 4.0, core: int = 1, split: Split = "time", held_out: float = 0.1, split_seed: int = 0
) -> Dataset:
    """MovieLens-100k (Harper and Konstan, 2015): films by genre, year and words of the title. Settings as for a file.

    Args:
        threshold: stars from which on a rating is an interaction.
        core: fewest interactions of a user and of an item.
        split: by ``"time"`` or ``"random"``.
        held_out: share for validation, and as many for testing.
        split_seed: of the chance.
    """
    folder = need("ml-100k")
    films = read_columns(str(folder / "ml-100k.item"), delimiter="\t")
    number, title, year, genres = films.values()
    named = [f"{t} ({y})" if y.isdecimal() else t for t, y in zip(title, year)]
    told = {
        "item": number,
        "key": named,
        "title": title,
        "year": [y if y.isdecimal() else "" for y in year],
        "genre": [g.replace(" ", "|") for g in genres],
    }
    log = Log.of_columns(read_columns(str(folder / "ml-100k.inter"), delimiter="\t"), "ml-100k.inter")
    return log.dataset(
        "ml-100k", describe(told, "ml-100k.item"), about=about("ml-100k"),
        threshold=threshold, core=core, split=split, held_out=held_out, split_seed=split_seed,
    )  # fmt: skip


@part("data")
def synthetic_blocks(users: int = 48, items: int = 40, blocks: int = 4, seed: int = 0) -> Dataset:
    """Made up, for tests and first steps: users and items in blocks; most interactions stay within a block.

    Args:
        users: how many.
        items: how many.
        blocks: groups of taste; user and item number modulo this.
        seed: of the chance.
    """
    if min(users, items) < blocks or blocks < 1:
        raise InputError(f"{users} users and {items} items can't fill {blocks} blocks")
    u, i = torch.arange(users), torch.arange(items)
    draws = Draws(seed, 0, u)
    within = (u[:, None] % blocks) == (i % blocks)
    taken = draws.uniform(items) < torch.where(within, 0.7, 0.08)
    taken[u, u % blocks] = True  # nobody is left without
    pairs = taken.nonzero()
    times = draws.uniform(items)[taken].double().numpy()
    names = [f"item {k} of block {k % blocks}" for k in i.tolist()]
    level = Draws(seed, 1, i).uniform().tolist()
    told = {
        "item": [str(k) for k in i.tolist()],
        "key": names,
        "block": [f"block {k % blocks}" if k % 3 else "block 0" for k in i.tolist()],  # some are told wrongly
        "level": [f"{v:.3f}" for v in level],
    }
    people = np.array([f"user {k:03d}" for k in pairs[:, 0].tolist()])
    log = Log(people, pairs[:, 1].numpy().astype(str), None, times)
    return log.dataset("synthetic-blocks", describe(told, "synthetic-blocks"), about=about("synthetic-blocks"))
