import pytest
import torch

from likewise.core.batch import Ragged
from likewise.core.errors import InputError
from likewise.data.dataset import Dataset, split_by_key

IMAGES = torch.randint(0, 256, (30, 3, 5, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def dataset() -> Dataset:
    keys = [f"{i:02}.png" for i in range(30)]
    return Dataset("made", {"image": IMAGES}, keys, torch.arange(30) % 5 == 0, torch.arange(30) % 4, list("abcd"))


def test_rows_are_those_asked_for() -> None:
    index = torch.tensor([3, 3, 29, 0])
    taken = dataset().take(index)["image"]
    assert torch.equal(taken, IMAGES[index])
    taken.zero_()
    assert IMAGES[3].any()
    ragged = Ragged(torch.arange(6.0), torch.tensor([1, 3, 2]))
    data = Dataset("made", {"text": ragged}, list("abc"), torch.zeros(3, dtype=torch.bool))
    assert data.take(torch.tensor([2, 0]))["text"].values.tolist() == [4.0, 5.0, 0.0]


def test_train_and_test_rows_share_nothing() -> None:
    data = dataset()
    assert sorted([*data.train_rows.tolist(), *data.test_rows.tolist()]) == list(range(30))
    assert data.test_rows.tolist() == [0, 5, 10, 15, 20, 25]


def test_subset() -> None:
    part = dataset().subset(torch.tensor([5, 2]))
    assert list(part.keys) == ["05.png", "02.png"]
    assert part.test.tolist() == [True, False]
    assert part.labels.tolist() == [1, 2]
    assert torch.equal(part.columns["image"], IMAGES[[5, 2]])
    assert part.classes == list("abcd")


def test_limits_are_nested_even_and_stable() -> None:
    data = dataset()
    small, large = data.limited(8), data.limited(12, 2)
    assert small.labels[~small.test].bincount().tolist() == [2, 2, 2, 2]
    assert int(small.test.sum()) == 6
    assert int(large.test.sum()) == 2
    names = [{k for k, t in zip(d.keys, d.test) if not t} for d in (small, large)]
    assert names[0] < names[1]
    assert data.limited(None) is data
    assert len(data.limited(1000)) == 30


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_leaves_something(limit: int) -> None:
    with pytest.raises(InputError, match="leaves nothing"):
        dataset().limited(limit)


def test_split_by_key() -> None:
    keys = [f"folder/{i}.jpg" for i in range(5000)]
    test = split_by_key(keys)
    assert 0.18 < test.float().mean() < 0.22
    assert torch.equal(split_by_key(keys[100:200]), test[100:200])
    assert split_by_key(["a", "b"]).sum() == 1
    assert split_by_key(["a"]).tolist() == [False]
    assert split_by_key(["same", "same", "other"], 1e-9).tolist() == [True, True, False]
    assert split_by_key(["same"] * 3).tolist() == [True, False, False]
    assert not split_by_key(keys, 0.0).any()
    with pytest.raises(InputError, match="test_share"):
        split_by_key(keys, -0.1)
