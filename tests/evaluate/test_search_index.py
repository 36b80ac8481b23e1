import json
import pickle

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from likewise.core.errors import InputError, MissingExtraError
from likewise.evaluate import index as index_module
from likewise.evaluate.index import Index


def rand(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_search_is_the_sorted_cosine():
    z, query = rand(50, 6), rand(4, 6, seed=1)
    scores, rows = Index(z).search(query, 7)
    cosine = F.normalize(query, dim=1) @ F.normalize(z, dim=1).T
    expected = cosine.sort(1, descending=True)
    torch.testing.assert_close(scores, expected.values[:, :7])
    assert torch.equal(rows, expected.indices[:, :7])


def test_one_query_and_more_neighbours_than_rows():
    found = Index(rand(3, 6), ["a", "b", "c"])
    scores, rows = found.search(5 * found.vectors[1], 10)
    assert scores.shape == rows.shape == (1, 3)
    assert found.keys[int(rows[0, 0])] == "b"
    assert float(scores[0, 0]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Index(torch.zeros(0, 4)), "rows of features"),
        (lambda: Index(torch.zeros(4)), "rows of features"),
        (lambda: Index(rand(3, 4), ["a"]), "as many keys, got 1"),
        (lambda: Index(torch.full((2, 2), torch.nan)), "not all finite"),
        (lambda: Index(rand(3, 4)).search(rand(1, 5)), "width 4, the query has shape"),
        (lambda: Index(rand(3, 4)).search(rand(1, 4), 0), "at least 1"),
    ],
)
def test_what_does_not_fit_is_one_line(make, says):
    with pytest.raises(InputError, match=says) as error:
        make()
    assert "\n" not in str(error.value)


def clustered(n, d=16):
    centres = rand(200, d, seed=5)
    return centres[torch.arange(n) % 200] + 0.5 * rand(n, d, seed=6)


def test_the_approximate_search_finds_nearly_all():
    z, query = clustered(20_000), clustered(20_000)[:100] + 0.1 * rand(100, 16, seed=7)
    found, exact = Index(z, approximate=True), Index(z, approximate=False)
    scores, rows = found.search(query, 10)
    wanted = exact.search(query, 10)
    recall = sum(len(set(a.tolist()) & set(b.tolist())) for a, b in zip(rows, wanted[1])) / 1000
    assert recall > 0.95
    torch.testing.assert_close(scores[:, 0], wanted[0][:, 0], atol=1e-4, rtol=0)
    again = Index(z, approximate=True).search(query, 10)
    assert torch.equal(again[1], rows)


def test_lists_with_too_few_rows_are_made_up_for():
    z = clustered(500)
    _, rows = Index(z, approximate=True).search(z[:3], 500)
    assert all(sorted(r) == list(range(500)) for r in rows.tolist())


def test_faiss_is_for_many_rows_and_not_needed(monkeypatch):
    monkeypatch.setattr(index_module, "MANY", 100)
    z = clustered(2000)
    assert Index(z[:100])._built() is None
    assert Index(z)._built() is not None

    def missing(module, extra, why):
        raise MissingExtraError("not installed")

    monkeypatch.setattr(index_module, "require", missing)
    quiet = Index(z)
    assert quiet._built() is None
    assert torch.equal(quiet.search(z[:5], 3)[1], Index(z, approximate=False).search(z[:5], 3)[1])
    with pytest.raises(MissingExtraError):
        Index(z, approximate=True)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    keys = ["beach/ä 1.jpg", "b\n", "\udcff.png"]
    made = Index(rand(3, 4), keys)
    path = tmp_path / "deep" / "photos.index"
    made.save(path)
    found = Index.load(path)
    assert found.keys == keys
    torch.testing.assert_close(found.vectors, made.vectors)
    Index(rand(2, 4), ["x", "y"]).save(path)
    assert Index.load(path).keys == ["x", "y"]
    assert [p.name for p in path.parent.iterdir()] == ["photos.index"]


def test_foreign_damaged_and_missing_files_are_named(tmp_path):
    good = tmp_path / "good.index"
    Index(rand(3, 4)).save(good)
    (tmp_path / "cut.index").write_bytes(good.read_bytes()[:60])
    save_file({"weight": rand(2, 2)}, str(tmp_path / "weights.index"))
    (tmp_path / "pickle.index").write_bytes(pickle.dumps({"vectors": [1]}))
    text = torch.frombuffer(bytearray(json.dumps({"a": 1}).encode()), dtype=torch.uint8)
    save_file({"vectors": rand(1, 2), "keys": text}, str(tmp_path / "odd.index"), {"format": "likewise-index-1"})
    save_file({"vectors": rand(1, 2)}, str(tmp_path / "half.index"), {"format": "likewise-index-1"})
    for name in ("cut", "weights", "pickle", "odd", "half", "absent"):
        with pytest.raises(InputError, match=f"{name}.index") as error:
            Index.load(tmp_path / f"{name}.index")
        assert "\n" not in str(error.value)


def test_a_folder_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written"):
        Index(rand(2, 2)).save(tmp_path / "file" / "photos.index")
