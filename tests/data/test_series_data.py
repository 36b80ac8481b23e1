"""Time series from files and objects: what becomes a row, how it is split, what is refused."""

import numpy as np
import pytest
import torch

from likewise.core.errors import InputError
from likewise.data.resolve import from_object, resolve
from likewise.data.series import basic_motions, greensboro_weather, gunpoint, japanese_vowels, synthetic_waves
from needs import needs


def built(path, **settings):
    return resolve(str(path), "series", **settings).build()


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def wide(path, rows=100):
    body = (f"2024-01-{1 + i // 24:02d} {i % 24:02d}:00,{i},{i * i % 17}" for i in range(rows))
    return write(path, "date,load,wind", *body)


def test_a_table_with_a_column_per_channel_is_one_long_series(tmp_path):
    data = built(wide(tmp_path / "grid.csv"), section=7)
    assert data.shared["series"].shape == (100, 2)
    assert data.shared["split"].tolist() == [60, 80]
    assert data.columns["series"].shape[1:] == (7, 2)
    assert data.keys[:2] == ["2024-01-01 00:00", "2024-01-01 07:00"]
    first = data.columns["series"][:, 0, 0]
    assert first[~data.test].tolist() == [0, 7, 14, 21, 28, 35, 42, 49]  # whole sections of the first 60
    assert first[data.test].tolist() == [60, 67, 74, 81, 88]
    known = data.facts()
    assert known["channels"] == 2
    assert known["center"][0] == pytest.approx(29.5)  # of the training part alone
    assert known["spread"][0] == pytest.approx(np.arange(60).std())


def test_sections_may_overlap_and_are_shorter_where_the_series_is(tmp_path):
    path = wide(tmp_path / "grid.csv")
    assert built(path).columns["series"].shape[1] == 7  # 60 steps make eight sections
    starts = built(path, section=7, stride=3).columns["series"][:, 0, 0].tolist()
    assert starts[:3] == [0, 3, 6]
    assert all(start + 7 <= 60 or start >= 60 for start in starts)


def test_missing_values_of_a_table_are_nan_and_empty_sections_are_left_out(tmp_path):
    lines = [f"{i},{'' if 14 <= i < 21 else i},{'NA' if i == 3 else 1}" for i in range(100)]
    data = built(write(tmp_path / "a.csv", "time,a,b", *lines), section=7)
    assert data.shared["series"][14:21, 0].isnan().all()
    assert data.shared["series"][3].isnan().tolist() == [False, True]
    assert "14" not in data.keys
    assert len(data) == 12
    assert data.facts()["spread"][1] == 1.0  # a constant channel is not blown up
    assert data.facts()["center"][0] == pytest.approx(np.mean([i for i in range(60) if not 14 <= i < 21]))


def test_a_table_with_ids_holds_many_series(tmp_path):
    lines = [f"{key},{t},{t * k},{'odd' if k % 2 else 'even'},{'test' if k > 3 else 'train'}"
             for k, key in enumerate("vwxyz") for t in range(4 + k)]  # fmt: skip
    data = built(write(tmp_path / "long.tsv".replace("tsv", "csv"), "series_id,time,value,label,split", *lines))
    assert data.keys == list("vwxyz")
    assert data.columns["series"].shape == (5, 8, 1)
    assert data.test.tolist() == [False, False, False, False, True]
    assert data.classes == ["even", "odd"]
    assert data.labels.tolist() == [0, 1, 0, 1, 0]
    short = data.columns["series"][0, :, 0]  # in the middle, as TS2Vec's code has it
    assert short.isnan().tolist() == [True, True, False, False, False, False, True, True]
    assert "series" not in data.shared


def test_parquet_and_tab_separated_tables_are_the_same(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.read_csv(wide(tmp_path / "grid.csv"))
    frame.to_parquet(tmp_path / "grid.parquet")
    frame.to_csv(tmp_path / "grid.tsv", sep="\t", index=False)
    found = [built(tmp_path / f"grid.{end}", section=7) for end in ("csv", "tsv", "parquet")]
    indexed = from_object(frame.set_index("date"), modality="series")
    for data in (*found, indexed):
        assert torch.equal(data.shared["series"], found[0].shared["series"])
        assert data.keys[0] == "2024-01-01 00:00"


def test_arrays_of_many_series(tmp_path):
    x = np.random.default_rng(0).normal(size=(10, 12, 3))
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(10) % 2, x_test=x[:4], y_test=np.zeros(4, int))
    data = built(tmp_path / "x.npy")
    assert data.columns["series"].shape == (10, 12, 3)
    assert data.columns["series"].dtype == torch.float32
    data = built(tmp_path / "x.npz")
    assert (int((~data.test).sum()), int(data.test.sum())) == (10, 4)
    assert data.keys[-1] == "test/3"
    assert data.labels.tolist() == [0, 1] * 5 + [0] * 4
    assert from_object(x[:, :, 0], modality="series").columns["series"].shape == (10, 12, 1)
    pair = from_object((torch.tensor(x), np.arange(10) % 2), modality="series")
    assert pair.classes == ["0", "1"]
    ragged = from_object([x[0, :5], x[1, :9], x[2]], modality="series")
    assert ragged.columns["series"].shape == (3, 12, 3)
    assert "series" in from_object(np.arange(200.0), modality="series").shared
    assert "series" in from_object(x.reshape(1, -1, 1), modality="series").shared  # one long series of 360 steps
    assert "series" not in from_object(x[:1], modality="series").shared  # one short one is a row


def ts(path, *body, head="@problemName p\n@timeStamps false\n@classLabel true a b\n@data"):
    return write(path, "# made for a test", head, *body)


def test_ts_files_with_their_test_set(tmp_path):
    ts(tmp_path / "P_TRAIN.ts", "1,2,3:4,5,6:a", "7,?:8,9:b")
    ts(tmp_path / "P_TEST.ts", "0,0:0,0:b")
    data = built(tmp_path / "P_TRAIN.ts")
    assert data.columns["series"].shape == (3, 3, 2)
    assert data.columns["series"][0].tolist() == [[1, 4], [2, 5], [3, 6]]
    assert data.columns["series"][1].isnan().tolist() == [[False, False], [True, False], [True, True]]
    assert data.labels.tolist() == [0, 1, 1]
    assert data.test.tolist() == [False, False, True]
    alone = built(tmp_path / "P_TEST.ts")
    assert len(alone) == 1


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "time,a\n1,2\n", "too short, at least 40"),
        ("a.csv", "time,a\n", "no rows"),
        ("a.csv", "time\n1\n", "no column of values beside time"),
        ("a.csv", "a,b\n1,x\n2,3\n", "'x' in column 'b', row 0 is no number"),
        ("a.csv", "a,b\n1\n", "row 0 has 1 cells"),
        ("a.csv", "", "is empty"),
        ("a.csv", "id,a\nu,1\n,2\n", "no id in row 1"),
        ("a.csv", "id,a,label\nu,1,x\nu,2,y\n", "series 'u' has label 'x' and 'y'"),
        ("a.csv", "id,a\nu,inf\nv,1\n", "infinite value in series 'u'"),
        ("a.csv", "id,a\nu,\nv,1\n", "series 'u' has no time step with all its values"),
        ("a.ts", "1,2:a\n", "no line @data"),
        ("a.ts", "@timeStamps true\n@data\n(0,1)\n", "time stamps, which are not read"),
        ("a.ts", "@data\n", "no series behind @data"),
        ("a.ts", "@data\n1,2:3\n", "line 2: channels of different length (1, 2)"),
        ("a.ts", "@data\n1,2\n3,4:5,6\n", "series of 1 and 2 channels"),
        ("a.ts", "@data\n1,x\n", "'x' in column '0'"),
        ("a.wav", "x", "a file of an unknown kind: time series are read from .csv"),
    ],
)
def test_files_that_are_no_series(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        built(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.zeros((2, 3, 4, 5)), "(2, 3, 4, 5) is not that of series"),
        (np.zeros((0, 3)), "is not that of series"),
        (np.array([["a", "b"]]), "are no time series; numbers wanted"),
        ((np.zeros((3, 5)), [1, 2]), "3 series but 2 labels"),
        ((np.arange(100.0), [1]), "labels are of many series"),
        ({"a": [1, 2]}, "data of type dict are no time series"),
        ([np.zeros((5, 2)), np.zeros((5, 3))], "series of 2 and 3 channels"),
    ],
)
def test_objects_that_are_no_series(value, says):
    with pytest.raises(InputError) as caught:
        from_object(value, modality="series")
    assert says in str(caught.value)


def test_a_folder_is_no_series(tmp_path):
    with pytest.raises(InputError, match="is a folder: time series are read from"):
        built(tmp_path)


def test_the_waves_are_always_the_same():
    one, two = synthetic_waves(), synthetic_waves()
    assert torch.equal(one.shared["series"], two.shared["series"])
    assert len(one) == one.about.samples
    assert one.shared["series"].shape == (600, 2)


@needs("greensboro-weather")
def test_greensboro_weather():
    data = greensboro_weather()
    assert data.shared["series"].shape == (8760, 9)
    assert not data.shared["series"].isnan().any()
    assert len(data) == data.about.samples
    assert data.keys[0] == "01/01 01:00"
    assert greensboro_weather(channel="temperature").facts()["center"][0] == pytest.approx(15, abs=5)
    with pytest.raises(InputError, match="no channel 'snow'"):
        greensboro_weather(channel="snow")


@needs("gunpoint")
@needs("basic-motions")
@needs("japanese-vowels")
def test_sets_of_the_archives():
    for data, shape, train, classes in (
        (gunpoint(), (200, 150, 1), 50, 2),
        (basic_motions(), (80, 100, 6), 40, 4),
        (japanese_vowels(), (640, 29, 12), 270, 9),
    ):
        assert data.columns["series"].shape == shape
        assert int((~data.test).sum()) == train
        assert len(data.classes) == classes
        assert len(data) == data.about.samples
    lengths = (~japanese_vowels().columns["series"].isnan().any(2)).sum(1)
    assert (int(lengths.min()), int(lengths.max())) == (7, 29)
