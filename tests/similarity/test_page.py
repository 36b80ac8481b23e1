"""The code of docs/similarity.md runs, and its losses are what the page says they are."""

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from likewise.report.equation import equation

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "similarity.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.fixture(scope="module")
def page():
    """The names of the page, after all of its code ran in order."""
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Linear(6, 4)
    pairs = [tuple(torch.randn(2, 10, 6, generator=generator)) for _ in range(2)]
    names = {"model": model, "loader": pairs, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1)}
    names["before"] = [p.detach().clone() for p in model.parameters()]
    exec("\n".join(BLOCKS), names)
    return names


def test_the_loop_trains_on_nt_xent(page):
    assert not torch.equal(page["model"].weight, page["before"][0])
    a, b = page["loader"][0]
    rows = F.normalize(torch.cat([a, b]))
    logits = (rows @ rows.T / 0.1).fill_diagonal_(-torch.inf)
    torch.testing.assert_close(page["criterion"](a, b), F.cross_entropy(logits, torch.arange(20).roll(10)))


def test_retrieval_leaves_out_the_same_item_and_discounts_frequent_ones(page):
    generator = torch.Generator().manual_seed(1)
    queries, items = torch.randn(2, 8, 5, generator=generator)
    ids, frequency = torch.tensor([0, 1, 2, 0, 3, 4, 1, 5]), torch.rand(8, generator=generator).log()
    logits = F.normalize(queries) @ F.normalize(items).T / 0.05 - frequency
    again = (ids[:, None] == ids) & ~torch.eye(8, dtype=torch.bool)
    expected = F.cross_entropy(logits.masked_fill(again, -torch.inf), torch.arange(8))
    torch.testing.assert_close(page["retrieval"](queries, items, ids, frequency), expected)


def test_a_rule_of_ones_own_drops_what_it_says(page):
    rows, times = page["embeddings"], page["times"]
    unit = F.normalize(rows)
    near = (times[:, None] - times).abs() < 2
    expected = (unit @ unit.T / 0.1).masked_fill(near, -torch.inf).logsumexp(1).mean()
    torch.testing.assert_close(page["apart"](rows, times), expected)


@pytest.mark.parametrize("latex", re.findall(r"\$\$\n(.*?)\n\$\$", PAGE, re.S))
def test_equations_of_the_page_can_be_drawn(latex):
    assert "<svg" in equation(latex)
