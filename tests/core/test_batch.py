import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from likewise.core.batch import Batch, Graph, Points, Ragged, Tokens, cat, count, join, move, rows


def tensor_view(n):
    return torch.arange(n * 6).view(n, 2, 3).float()


def tokens(n):
    return Tokens(torch.arange(n * 4).view(n, 4), torch.arange(n * 4).view(n, 4) % 3 > 0)


def points(n):
    return Points(torch.randn(n, 5, 3), torch.randn(n, 5, 2))


def ragged(n):
    lengths = torch.arange(n) % 3
    return Ragged(torch.arange(int(lengths.sum()) * 2).view(-1, 2).float(), lengths)


MAKERS = (tensor_view, tokens, points, ragged)


def flat(view):
    """Everything in a view, to compare it whole."""
    if isinstance(view, torch.Tensor):
        return [view]
    return [v for v in vars(view).values() if v is not None]


def same(a, b):
    return type(a) is type(b) and all(torch.equal(x, y) for x, y in zip(flat(a), flat(b), strict=True))


def batch(n):
    views = {make.__name__: make(n) for make in MAKERS}
    return Batch(views, torch.arange(n) * 10, torch.arange(n) % 2, {"price": torch.arange(n).float()})


@pytest.mark.parametrize("make", MAKERS)
@given(index=st.lists(st.integers(0, 6), max_size=9))
def test_rows_are_the_rows_asked_for(make, index):
    view = make(7)
    picked = rows(view, torch.tensor(index, dtype=torch.int64))
    assert count(picked) == len(index)
    for position, i in enumerate(index):
        assert same(rows(picked, torch.tensor([position])), rows(view, torch.tensor([i])))


@pytest.mark.parametrize("make", MAKERS)
def test_rows_by_mask(make):
    view, mask = make(6), torch.tensor([True, False, True, True, False, False])
    assert same(rows(view, mask), rows(view, torch.tensor([0, 2, 3])))


@pytest.mark.parametrize("make", MAKERS)
def test_joining_chunks_gives_the_whole(make):
    view = make(7)
    assert same(cat([rows(view, torch.tensor(part)) for part in ([0, 1, 2], [3], [4, 5, 6])]), view)


@pytest.mark.parametrize("make", MAKERS)
def test_moving_moves_every_tensor(make):
    assert all(t.device.type == "meta" for t in flat(move(make(3), "meta")))


def test_ragged_rows_keep_their_values():
    view = Ragged(torch.tensor([1.0, 2, 3, 4, 5, 6]), torch.tensor([2, 0, 3, 1]))
    picked = view.rows(torch.tensor([2, 1, 0]))
    assert picked.values.tolist() == [3, 4, 5, 1, 2]
    assert picked.lengths.tolist() == [3, 0, 2]


def test_a_graph_stays_whole():
    graph = Graph(torch.randn(4, 2), torch.tensor([[0, 1], [1, 2]]))
    assert count(graph) == 4
    assert move(graph, "meta").weights is None
    with pytest.raises(TypeError, match="no row selection"):
        rows(graph, torch.tensor([0]))
    with pytest.raises(TypeError, match="joined"):
        cat([graph, graph])


def test_batch_counts_its_rows():
    with pytest.raises(ValueError, match="view 'b' has 3 rows, but the batch has 4 ids"):
        Batch({"a": torch.zeros(4, 1), "b": torch.zeros(3, 1)}, torch.arange(4))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_chunks_join_to_the_batch(size):
    whole = batch(5)
    parts = list(whole.chunks(size))
    assert [len(p) for p in parts] == [min(size, 5 - i) for i in range(0, 5, size)]
    joined = Batch.cat(parts)
    assert joined.ids.tolist() == whole.ids.tolist()
    assert torch.equal(joined.labels, whole.labels)
    assert torch.equal(joined.extra["price"], whole.extra["price"])
    assert all(same(joined.views[role], view) for role, view in whole.views.items())


def test_batch_rows_select_everything_alike():
    picked = batch(6).rows(torch.tensor([5, 1]))
    assert picked.ids.tolist() == [50, 10]
    assert picked.labels.tolist() == [1, 1]
    assert picked.extra["price"].tolist() == [5, 1]
    assert len(picked) == 2


def test_batch_without_labels_stays_without():
    bare = Batch({"a": torch.zeros(4, 1)}, torch.arange(4))
    assert Batch.cat(list(bare.chunks(3))).labels is None
    assert bare.to("meta").labels is None


def test_embeddings_join_by_name():
    joined = join([{"a": torch.zeros(2, 3), "b": torch.ones(2, 1)}, {"a": torch.ones(1, 3), "b": torch.zeros(1, 1)}])
    assert joined["a"].sum(1).tolist() == [0, 0, 3]
    assert joined["b"].flatten().tolist() == [1, 1, 0]
