"""Samples of three modalities of which no two tell anything about the third: only all together they fit."""

import torch

from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.catalogue import about
from likewise.data.dataset import Dataset, split_by_key
from likewise.data.multimodal import from_columns

_TEST_IDS = 1 << 40


@part("data")
def xor_triples(num: int = 4000, num_test: int = 1000, bits: int = 1, split_seed: int = 0) -> Dataset:
    """Two vectors of random bits, and the exclusive or of both (Saporta et al., arXiv:2411.01053, section 4.1).

    Args:
        num: training triples.
        num_test: and as many others to test.
        bits: of a vector.
        split_seed: of the chance.
    """
    if min(num, num_test) < 2 or bits < 1:
        raise InputError(f"xor-triples: num={num} and num_test={num_test} must be at least 2, bits={bits} at least 1")
    coins = Draws(split_seed, 0, torch.arange(num + num_test)).integers(2, 2, bits)
    a, b = coins.unbind(1)
    columns = {"key": [f"triple {i}" for i in range(num + num_test)], "a": a, "b": b, "c": a ^ b}
    test = torch.arange(num + num_test) >= num
    return from_columns("xor-triples", columns, test=test, about=about("xor-triples"))


@part("data")
def digit_triples(num: int = 8000, num_test: int = 1000, image_size: int = 16, split_seed: int = 0) -> Dataset:
    """Three of scikit-learn's digits: the third is odd where one of the others is odd and the other even.

    Which digits are for testing is decided by a hash, so that no picture of a test triple is in a training triple. What
    can be found out about a missing picture is its parity, which is therefore what counts as the right answer.

    Args:
        num: training triples.
        num_test: and as many others to test.
        image_size: pixels on a side.
        split_seed: of the chance.
    """
    from likewise.data.sources import digits

    if min(num, num_test) < 2:
        raise InputError(f"digit-triples: num={num} and num_test={num_test} must be at least 2")
    held = digits(image_size=image_size)
    images, digit = held.columns["image"], held.labels
    assert isinstance(images, torch.Tensor)
    assert digit is not None
    test_digits = split_by_key(list(held.keys))
    picked = []
    for count, mine, first in ((num, ~test_digits, 0), (num_test, test_digits, _TEST_IDS)):
        draws = Draws(split_seed, 0, torch.arange(count) + first).uniform(3)
        pool = mine.nonzero().flatten()
        a, b = ((draws[:, i] * len(pool)).long().clamp(max=len(pool) - 1) for i in (0, 1))
        a, b = pool[a], pool[b]
        c = torch.empty_like(a)
        for odd in (0, 1):
            rows = (digit[a] + digit[b]) % 2 == odd
            fitting = pool[digit[pool] % 2 == odd]
            c[rows] = fitting[(draws[rows, 2] * len(fitting)).long().clamp(max=len(fitting) - 1)]
        picked.append(torch.stack([a, b, c]))
    which = torch.cat(picked, 1)
    names = ("a", "b", "c")
    keys = [" ".join(f"{int(digit[i])}({int(i)})" for i in row) + f" #{n}" for n, row in enumerate(which.T)]
    return from_columns(
        "digit-triples",
        {"key": keys, **{name: images[row] for name, row in zip(names, which)}},
        test=torch.arange(num + num_test) >= num,
        about=about("digit-triples"),
        answers={name: digit[row] % 2 for name, row in zip(names, which)},
    )
