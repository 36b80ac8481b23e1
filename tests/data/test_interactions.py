"""Interactions from files and objects: what is kept, how it is split, what is said when it can't be read."""

from pathlib import Path

import numpy as np
import pytest
import torch

from likewise.core.errors import InputError
from likewise.data.catalogue import present
from likewise.data.interaction_sources import ml_100k
from likewise.data.interaction_sources import synthetic_blocks as blocks
from likewise.data.interactions import TEST, TRAIN, VALID, Log, from_object, interactions, split_by_user
from likewise.data.resolve import resolve

HEADER = "userId,movieId,rating,timestamp\n"


def write(folder: Path, text: str, name: str = "ratings.csv") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def rows(dataset, part):
    held = dataset.columns["part"] == part
    return list(zip(dataset.columns["user"][held].tolist(), dataset.columns["item"][held].tolist()))


def ratings(num=10, users=("ann", "bob")):
    return "".join(f"{u},{i},5,{i}\n" for u in users for i in range(num))


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_ratings_below_the_threshold_are_no_interactions(tmp_path):
    path = write(tmp_path, HEADER + "ann,1,3.5,1\nann,2,4,2\nbob,1,5,3\nbob,3,1,4\n")
    data = interactions(path)
    assert len(data) == 2
    assert data.tables["item"].keys == ["1", "2"]
    assert data.tables["user"].keys == ["ann", "bob"]
    assert len(interactions(path, threshold=1)) == 4
    assert data.known == {"num_users": 2, "num_items": 2}


def test_a_pair_that_is_listed_twice_counts_once(tmp_path):
    data = interactions(write(tmp_path, "user,item\nann,1\nann,1\nann,2\n"))
    assert list(data.keys) == ["ann, 1", "ann, 2"]
    assert data.keys[0:1] == ["ann, 1"]


def test_numbers_stand_in_numerical_order(tmp_path):
    data = interactions(write(tmp_path, "user\titem\n" + "".join(f"{u}\t{u * 3}\n" for u in (9, 10, 100)), "a.tsv"))
    assert data.tables["user"].keys == ["9", "10", "100"]
    assert data.tables["item"].keys == ["27", "30", "300"]


def test_a_core_is_taken_until_nobody_is_left_out():
    # without d, item 4 has one user left, without it c has two items
    pairs = [(u, i) for u in "ab" for i in "123"] + [("c", "1"), ("c", "2"), ("c", "4"), ("d", "4")]
    users, items = zip(*pairs)
    whole = from_object((users, items))
    assert len(whole) == 10

    def core(k):
        return Log.of_columns({"user": users, "item": items}, "x").dataset("x", core=k)

    assert core(2).tables["user"].keys == ["a", "b", "c"]
    assert core(2).tables["item"].keys == ["1", "2", "3"]
    kept = core(2)
    assert kept.columns["user"].bincount().min() >= 2
    assert kept.columns["item"].bincount().min() >= 2
    with pytest.raises(InputError, match="core=4 leaves nothing"):
        core(4)


# --- the split --------------------------------------------------------------------------------------------------------


def test_the_last_are_held_out_whatever_the_order_of_the_rows(tmp_path):
    lines = ratings().splitlines(keepends=True)
    for text in (HEADER + "".join(lines), HEADER + "".join(reversed(lines))):
        data = interactions(write(tmp_path, text))
        assert sorted(rows(data, TEST)) == [(0, 9), (1, 9)]
        assert sorted(rows(data, VALID)) == [(0, 8), (1, 8)]
        assert data.test.sum() == 4


def test_dates_are_times(tmp_path):
    days = {1: "2024-03-01", 2: "2023-03-01T10:00:00Z", 3: "2024-02-29 23:59:59"}
    data = interactions(write(tmp_path, "user,item,date\n" + "".join(f"ann,{i},{d}\n" for i, d in days.items())))
    assert rows(data, TRAIN) == [(0, 1)]
    assert rows(data, VALID) == [(0, 2)]
    assert rows(data, TEST) == [(0, 0)]


def test_a_split_by_chance_belongs_to_the_pairs(tmp_path):
    lines = [f"u{u},{i}\n" for u in range(6) for i in range(10)]
    found = []
    for text, seed in ((lines, 0), (lines[::-1], 0), (lines, 1)):
        data = interactions(write(tmp_path, "user,item\n" + "".join(text)), split_seed=seed)
        assert data.columns["part"].bincount().tolist() == [48, 6, 6]
        found.append((sorted(rows(data, TEST)), sorted(rows(data, VALID))))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.49])
def test_every_user_keeps_something_to_train_on(share):
    count = torch.arange(1, 30)
    user = torch.arange(29).repeat_interleave(count)
    item = torch.cat([torch.arange(int(n)) for n in count])
    held = split_by_user(user, item, torch.rand(len(user)), share, 0)
    for part in (VALID, TEST):
        there = user[held == part].bincount(minlength=29)
        wanted = torch.zeros(29) if share == 0 else (count * share + 0.5).floor().clamp(min=1).minimum((count - 1) // 2)
        assert torch.equal(there, wanted.long())
    assert (user[held == TRAIN].bincount(minlength=29) > 0).all()


def test_what_is_shared_comes_from_training_alone():
    data = blocks()
    train = {tuple(pair) for pair in data.shared["train"].T.tolist()}
    assert train == set(rows(data, TRAIN))
    assert not train & (set(rows(data, VALID)) | set(rows(data, TEST)))
    assert len(data.train_rows) == len(train)


# --- what describes the items -----------------------------------------------------------------------------------------

ITEMS = (
    "movieId,title,genre,year,plot\n"
    "1,Heat,crime|drama,1995,a thief and a policeman\n"
    "2,Heat,crime,1996,a thief again\n"
    "3,Up,family,2009,a policeman flies\n"
    "8,None has it,drama,2000,\n"
)


def test_a_table_beside_it_describes_the_items(tmp_path):
    write(tmp_path, ITEMS, "items.csv")
    path = write(tmp_path, HEADER + "".join(f"{u},{i},5,{i}\n" for u in "ab" for i in (1, 2, 3, 4)))
    data = interactions(path)
    assert data.tables["item"].keys == ["Heat [1]", "Heat [2]", "Up", "4"]
    features = data.shared["item_features"]
    assert list(features) == ["attributes", "title", "plot"]
    # categories by how often they come, then the year from the first (0) to the last (1)
    crime, drama, family, year = features["attributes"].T
    assert crime.tolist() == [1, 1, 0, 0]
    assert drama.tolist() == [1, 0, 0, 0]
    assert family.tolist() == [0, 0, 1, 0]
    assert year.tolist() == pytest.approx([0, 1 / 14, 1, 0])
    assert (features["plot"][0] @ features["plot"][1]) > 0  # both have a thief
    assert features["plot"][3].tolist() == [0] * features["plot"].shape[1]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = write(elsewhere, ITEMS, "films.csv")
    (tmp_path / "items.csv").unlink()
    assert interactions(path).shared["item_features"] == {}
    assert interactions(path, items=moved).tables["item"].keys[2] == "Up"


def test_unknown_numbers_are_in_the_middle(tmp_path):
    write(tmp_path, "item,price\n0,10\n1,\n2,20\n", "items.csv")
    data = interactions(write(tmp_path, "user,item\n" + "".join(f"a,{i}\n" for i in range(3))))
    assert data.shared["item_features"]["attributes"].flatten().tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title\nHeat\n", "no column named item"),
        ("item,title\n", "header but no rows"),
        ("item,title\n,Heat\n", "no item in row 0"),
        ("item,title\n77,Heat\n", "none of the items, like '0'"),
    ],
)
def test_items_that_are_not_described(tmp_path, text, says):
    write(tmp_path, text, "items.csv")
    with pytest.raises(InputError, match=says):
        interactions(write(tmp_path, HEADER + ratings(3)))


# --- objects ----------------------------------------------------------------------------------------------------------


def test_objects_and_files_give_the_same(tmp_path):
    pandas = pytest.importorskip("pandas")
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    user, item = np.unique(rng.integers(0, 12, (60, 2)), axis=0).T
    text = "user_id,item_id\n" + "".join(f"{u},{i}\n" for u, i in zip(user, item))
    expected = interactions(write(tmp_path, text))
    frame = pandas.DataFrame({"user_id": user, "item_id": item})
    frame.to_parquet(tmp_path / "a.parquet")
    found = [
        from_object(frame),
        from_object((user, item)),
        from_object((torch.from_numpy(user), item.tolist())),
        from_object(sparse.csr_matrix((rng.random(len(user)) + 0.1, (user, item)))),
        interactions(str(tmp_path / "a.parquet")),
    ]
    for data in found:
        assert list(data.keys) == list(expected.keys)
        assert torch.equal(data.columns["part"], expected.columns["part"])


def test_a_frame_of_items_can_come_along(tmp_path):
    pandas = pytest.importorskip("pandas")
    log = pandas.DataFrame({"user": ["a", "a", "b"], "item": [1, 2, 2], "rating": [5, 4, 5.0]})
    about = pandas.DataFrame({"id": [2, 1], "name": ["two", None], "price": [1.0, 3.0]})
    data = from_object((log, about))
    assert data.tables["item"].keys == ["1", "two"]
    assert data.shared["item_features"]["attributes"].flatten().tolist() == [1, 0]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([1, 2], "of type list are no interactions"),
        (np.zeros((3, 3)), "of type ndarray are no interactions"),
        (([1, 2], [3]), "different lengths: user 2, item 1"),
        (([[1, 2]], [[3, 4]]), "one value an interaction"),
        (([], []), "no rows"),
        (([1, 1], [3, 4], [1, 2]), "no rating reaches the threshold of 4, the highest is 2"),
        (([1, None], [3, 4]), "no user in row 1"),
        (([1, 1], [3, 4], [5, float("nan")]), "rating nan in row 1"),
        (([1, 2], [3, 3]), "only one item"),
    ],
)
def test_objects_that_are_none(data, says):
    with pytest.raises(InputError, match=says):
        from_object(data)


# --- files that can't be used -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "settings", "says"),
    [
        ("", {}, "is empty"),
        ("user,rating\n1,2\n", {}, r"no column named item \(or item_id, ...\); it has user, rating"),
        ("1\t2\t5\n", {}, "no column named user"),
        ("user,item\n", {}, "header but no rows"),
        ("user,item\n1\n", {}, "row 0 has 1 cells, the header has 2"),
        ("user,item\n1,\n", {}, "no item in row 0"),
        ("user,item,rating\n1,2,good\n", {}, "rating 'good' in row 0 is no rating"),
        ("user,item,rating\n1,2,nan\n", {}, "rating 'nan' in row 0 is no rating"),
        ("user,item,time\n1,2,yesterday\n", {}, "time 'yesterday' in row 0 is no time"),
        ("user,item,rating\n1,2,1\n1,3,2\n", {}, "the highest is 2; try --set data.threshold=2"),
        ("user,item\n1,2\n1,3\n", {"split": "time"}, "set split=random"),
        ("user,item\n1,2\n1,3\n", {"held_out": 0.5}, "held_out=0.5"),
    ],
)
def test_files_that_are_none(tmp_path, text, settings, says):
    with pytest.raises(InputError, match=says):
        interactions(write(tmp_path, text), **settings)


def test_the_command_line_finds_the_reader(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, HEADER + ratings())
    assert resolve("ratings.csv", "interactions").build().known["num_items"] == 10
    with pytest.raises(InputError, match=r"no such file or data source 'rating.csv'; did you mean 'ratings.csv'"):
        resolve("rating.csv", "interactions")


def test_made_up_blocks_are_the_same_each_time():
    one, two = blocks(), blocks()
    assert torch.equal(one.columns["item"], two.columns["item"])
    assert "made up" in one.about.says
    block = [int(name[-1]) for name in one.tables["item"].keys]
    same = (one.columns["user"] % 4) == torch.tensor(block)[one.columns["item"]]
    assert 0.6 < same.double().mean() < 0.9
    with pytest.raises(InputError, match="can't fill 9 blocks"):
        blocks(items=8, blocks=9)


@pytest.mark.skipif(not present("ml-100k"), reason="likewise data get ml-100k")
def test_movielens():
    data = ml_100k()
    assert len(data) == 55_375  # ratings of 4 and 5
    assert data.known == {"num_users": 942, "num_items": 1447}
    assert data.tables["item"].keys[0] == "Toy Story (1995)"
    assert len(set(data.tables["item"].keys)) == 1447
    assert data.shared["item_features"]["attributes"].shape == (1447, 20)  # a year and 19 genres
    assert "no redistribution" in data.about.licence
