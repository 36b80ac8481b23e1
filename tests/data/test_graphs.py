"""Graphs from arrays, objects and files of one's own; what is wrong with them is said in a line."""

import gzip
import re
import types

import networkx
import numpy as np
import pytest
import torch

from likewise.core.batch import Graph
from likewise.core.errors import InputError
from likewise.data.dataset import Dataset
from likewise.data.graphs import from_arrays, graph, place_in_graph
from likewise.data.resolve import from_object, resolve
from likewise.data.sources import karate, man_pages
from likewise.data.words import bag_of_words

PATH = np.array([[0, 1, 2], [1, 2, 3]])
X = np.arange(8.0).reshape(4, 2)


def load(data) -> Dataset:
    return from_object(data, modality="graph")


def edges_of(data) -> list[tuple[int, int]]:
    return list(map(tuple, data.columns["graph"].edges.T.tolist()))


BOTH = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)]


@pytest.mark.parametrize(
    "data",
    [
        (PATH, X),
        (PATH.T.tolist(), X.tolist()),
        (torch.tensor(PATH), torch.tensor(X), None),
        {"edge_index": PATH, "x": X},
        types.SimpleNamespace(edge_index=torch.tensor(PATH), x=torch.tensor(X), y=None),
    ],
    ids=["arrays", "lists", "tensors", "dict", "PyG"],
)
def test_a_graph_in_memory(data):
    found = load(data)
    assert edges_of(found) == BOTH
    assert found.columns["graph"].x.tolist() == X.tolist()
    assert found.whole
    assert found.labels is None
    assert list(found.keys) == ["0", "1", "2", "3"]
    assert found.facts() == {"num_samples": 4, "num_nodes": 4, "num_features": 2}


def test_labels_and_nodes_without_one():
    found = load((PATH, X, ["b", "", None, "a"]))
    assert found.labels.tolist() == [1, -1, -1, 0]
    assert found.classes == ["a", "b"]
    assert load((PATH, X, np.array([7.0, np.nan, 3.0, 3.0]))).labels.tolist() == [1, -1, 0, 0]
    assert load((PATH, X, np.array([2, -1, 0, 0]))).labels.tolist() == [1, -1, 0, 0]
    assert load((PATH, X, [0.5, 0.25, 1.0, 2.0])).labels.dtype == torch.float32


def test_loops_and_repetitions_are_left_out_and_the_larger_weight_holds():
    edges = np.array([[0, 1, 1, 2, 2], [1, 0, 1, 0, 0]])
    found = from_arrays("g", edges, np.ones((3, 1)), weights=[1.0, 3.0, 9.0, 2.0, 0.5])
    assert edges_of(found) == [(0, 1), (0, 2), (1, 0), (2, 0)]
    assert found.columns["graph"].weights.tolist() == [3, 2, 3, 2]
    one_way = from_arrays("g", edges, np.ones((3, 1)), weights=[1.0, 3.0, 9.0, 2.0, 0.5], directed=True)
    assert edges_of(one_way) == [(0, 1), (1, 0), (2, 0)]
    assert one_way.columns["graph"].weights.tolist() == [1, 3, 2]


def test_a_networkx_graph():
    club = networkx.karate_club_graph()
    found = load(club)
    assert len(found) == 34
    assert found.classes == ["Mr. Hi", "Officer"]
    assert found.columns["graph"].weights.max() > 1
    named = networkx.DiGraph([("x", "y"), ("z", "y")])
    networkx.set_node_attributes(named, {"x": [1.0, 2.0], "y": [3.0, 4.0], "z": [5.0, 6.0]}, "x")
    found = load(named)
    assert edges_of(found) == [(0, 1), (2, 1)]
    assert list(found.keys) == ["x", "y", "z"]
    assert found.columns["graph"].x.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_nodes_without_features_get_their_place_in_the_graph():
    clique = [(i, j) for i in range(6) for j in range(6) if i < j]
    edges = np.array([*clique, *((i + 6, j + 6) for i, j in clique), (0, 6)]).T
    found = load((edges, None)).columns["graph"]
    assert found.x.shape == (12, 13)
    second = found.x[:, 1]
    assert (second[:6].sign() == -second[6:].sign()).all()  # the cut between the cliques
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    moved = place_in_graph(order.argsort()[found.edges], 12)
    torch.testing.assert_close(moved[:, 1].abs(), found.x[order, 1].abs(), rtol=1e-4, atol=1e-4)
    large = load((np.array([np.arange(200), (np.arange(200) + 1) % 200]), None)).columns["graph"]
    assert large.x.shape == (200, 65)
    assert large.x.isfinite().all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.zeros((3, 4), int), X), r"edges have shape (3, 4)"),
        ((np.array([[0.5], [1]]), X), "expected whole numbers"),
        ((np.array([["a"], ["b"]]), X), "expected whole numbers"),
        ((np.array([[0, 9], [1, 2]]), X), "an edge with node 9, but the 4 nodes are 0 to 3"),
        ((np.array([[0, -1], [1, 2]]), X), "an edge with node -1"),
        ((np.zeros((2, 0), int), X), "without edges"),
        ((np.array([[1, 2], [1, 2]]), X), "from a node to itself"),
        ((PATH, np.array([[1, np.nan], [1, 2], [1, 2], [1, 2]])), "feature 1 of node 0 is nan"),
        ((PATH, np.array(["a", "b", "c", "d"])), "expected numbers"),
        ((PATH, X, [1, 2]), "2 rows of labels for 4 nodes"),
        ((PATH, X, ["", "", "", ""]), "no node has a label"),
        ((PATH, X, [0.5, np.nan, 1, 2]), "node 1 has no target"),
        ({"x": X}, "no array named edges or edge_index; it holds x"),
        ({"edges": PATH, "x": X, "weights": [1, 2, -3]}, "edge 2 has the weight -3"),
        ({"edges": PATH, "x": X, "weights": [1, 2]}, "for 3 edges"),
        (42, "data of type int is no graph"),
        (np.ones((3, 3)), "data of type ndarray is no graph"),
    ],
)
def test_what_is_wrong_with_a_graph_in_memory(data, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        load(data)
    assert "\n" not in str(caught.value)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("g.csv", "0,1\n1,2\n2,3\n"),
        ("g.csv", "source,target\r\n0,1\r\n1,2\r\n2,3\r\n"),
        ("g.tsv", "# a remark\n0\t1\n1\t2\n2\t3\n"),
        ("g.txt", "% a remark\n\n0 1\n1  2\n2 3\n"),
        ("g.csv", "from;to\n0;1\n1;2\n2;3\n"),
    ],
)
def test_an_edge_list(tmp_path, name, text):
    (tmp_path / name).write_text(text, newline="")
    found = resolve(str(tmp_path / name), "graph").build()
    assert edges_of(found) == BOTH
    assert found.columns["graph"].weights is None


def test_an_edge_list_with_names_and_weights(tmp_path):
    (tmp_path / "g.csv").write_text("source,target,weight\nbob,al,2\ncy,bob,0.5\n")
    found = graph(str(tmp_path / "g.csv"))
    assert list(found.keys) == ["al", "bob", "cy"]
    assert edges_of(found) == [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert found.columns["graph"].weights.tolist() == [2, 2, 0.5, 0.5]
    assert edges_of(graph(str(tmp_path / "g.csv"), directed=True)) == [(1, 0), (2, 1)]


def folder(tmp_path, **files):
    for name, text in files.items():
        (tmp_path / name.replace("_csv", ".csv").replace("_txt", ".txt").replace("_tsv", ".tsv")).write_text(text)
    return str(tmp_path)


def test_a_folder_with_a_table_of_nodes(tmp_path):
    nodes = "id,age,town,label\nal,20,ulm,x\nbob,30,ulm,\ncy,40,bonn,y\n"
    found = graph(folder(tmp_path, edges_csv="al,bob\nbob,cy\n", nodes_csv=nodes))
    x = found.columns["graph"].x
    assert x[:, 0].tolist() == pytest.approx([-1.2247, 0, 1.2247], abs=1e-4)  # mean 0, deviation 1
    assert x[:, 1:].tolist() == [[0, 1], [0, 1], [1, 0]]  # a column per town
    assert found.labels.tolist() == [0, -1, 1]
    assert list(found.keys) == ["al", "bob", "cy"]


def test_texts_of_nodes_become_words(tmp_path):
    texts = ["graphs and nodes", "nodes with words", "words of graphs", "graphs nodes words", "alone 123"] * 2
    nodes = "id,text\n" + "".join(f"{i},{t} {i * 'x'}\n" for i, t in enumerate(texts))
    found = graph(folder(tmp_path, edges_csv="0,1\n1,2\n", nodes_csv=nodes))
    x = found.columns["graph"].x
    assert x.sum(1)[:5].tolist() == [1, 1, 0, 0, 1]
    assert x.shape[1] == len({"and", "with", "alone"})  # other words are in more than half of the texts, or in one


def test_features_and_labels_in_files_of_their_own(tmp_path):
    np.save(tmp_path / "features.npy", X)
    where = folder(tmp_path, edges_txt="0 1\n1 2\n2 3\n", labels_txt="a\nb\nb\na\n")
    found = graph(where)
    assert found.columns["graph"].x.tolist() == X.tolist()
    assert found.labels.tolist() == [0, 1, 1, 0]
    (tmp_path / "labels.txt").unlink()
    np.save(tmp_path / "labels.npy", np.array([0, -1, 1, 1]))
    assert graph(where).labels.tolist() == [0, -1, 1, 1]
    (tmp_path / "features.npy").unlink()
    (tmp_path / "labels.npy").unlink()
    folder(tmp_path, features_csv="id,f\n3,1\n1,3\n2,5\n0,7\n", labels_csv="node,class\n0,u\n3,v\n")
    found = graph(where)
    assert list(found.keys) == ["3", "1", "2", "0"]
    assert found.labels.tolist() == [1, -1, -1, 0]
    assert edges_of(found) == [(0, 2), (1, 2), (1, 3), (2, 0), (2, 1), (3, 1)]


def test_labels_by_name_of_some_nodes(tmp_path):
    found = graph(folder(tmp_path, edges_csv="al,bob\nbob,cy\n", labels_csv="name,label\ncy,1\nal,0\n"))
    assert list(found.keys) == ["al", "bob", "cy"]
    assert found.labels.tolist() == [0, -1, 1]


def test_names_that_look_like_a_header_are_names(tmp_path):
    found = graph(folder(tmp_path, edges_csv="u,v\nv,w\nw,u\n"))
    assert list(found.keys) == ["u", "v", "w"]
    assert len(edges_of(found)) == 6


def test_an_npz_in_both_layouts(tmp_path):
    np.savez(tmp_path / "a.npz", edge_index=PATH, x=X, y=np.array([0, 1, 1, 0]))
    found = graph(str(tmp_path / "a.npz"))
    assert edges_of(found) == BOTH
    assert found.labels.tolist() == [0, 1, 1, 0]
    layout = {"data": np.ones(3), "indices": PATH[1], "indptr": np.array([0, 1, 2, 3, 3]), "shape": (4, 4)}
    features = {"data": np.ones(4), "indices": np.array([0, 1, 0, 1]), "indptr": np.arange(5), "shape": (4, 2)}
    held = {f"adj_{k}": v for k, v in layout.items()} | {f"attr_{k}": v for k, v in features.items()}
    np.savez(tmp_path / "b.npz", **held, labels=np.array([1, 1, 0, 0]))
    other = graph(str(tmp_path / "b.npz"))
    assert edges_of(other) == BOTH
    assert other.columns["graph"].x.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


EDGES = "a,b\nb,c\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no edges.csv"),
        ({"edges_csv": ""}, "has no edges"),
        ({"edges_csv": "source,target\n"}, "has no edges"),
        ({"edges_csv": "a\nb\n"}, "1 columns; an edge list has two"),
        ({"edges_csv": "a,b,1,2\n"}, "4 columns"),
        ({"edges_csv": "a,b\nb\n"}, "line 2: 1 cells, expected 2"),
        ({"edges_csv": "a,b\nb,\n"}, "line 2: 1 cells, expected 2"),
        ({"edges_csv": "a,b,1\nb,c,much\n"}, "line 2: the weight is 'much', not a number"),
        ({"edges_csv": "a,b,1\nb,c,0\n"}, "edge 1 has the weight 0.0"),
        ({"edges_csv": "a,a\n"}, "from a node to itself"),
        ({"edges_csv": EDGES, "nodes_csv": "who,x\na,1\n"}, "has no column named id, node"),
        ({"edges_csv": EDGES, "nodes_csv": "id,x\na,1\nb,2\n"}, "edge 1 has a node 'c' of which nothing is known"),
        ({"edges_csv": EDGES, "nodes_csv": "id,x\na,1\nb,2\na,3\n"}, "row 2 has the name 'a' again"),
        ({"edges_csv": EDGES, "nodes_csv": "id,x\na,1\nb,\nc,3\n"}, "column 'x' has 'nothing' in row 1"),
        ({"edges_csv": EDGES, "nodes_csv": "id,x\na,1\nb,nan\nc,3\n"}, "column 'x' has 'nan' in row 1"),
        ({"edges_csv": EDGES, "nodes_csv": "id,x\na,1\nb,2,3\nc,3\n"}, "row 1 has 3 cells, the header has 2"),
        ({"edges_csv": EDGES, "labels_txt": "1\n2\n3\n"}, "node 'a' is no number"),
        ({"edges_csv": "0,1\n1,5\n", "labels_txt": "1\n2\n3\n"}, "edge 1 has a node '5' of which nothing"),
        (
            {"edges_csv": EDGES, "nodes_csv": "id\na\nb\nc\n", "labels_csv": "id,label\nz,1\n"},
            "a label of 'z', which is no node",
        ),
        ({"edges_csv": EDGES, "nodes_csv": "id\na\nb\nc\n", "labels_txt": "1\n2\n"}, "2 labels for 3 nodes"),
        ({"edges_csv": EDGES, "labels_csv": "id,colour,size\na,1,2\n"}, "no column named label"),
        (
            {"edges_csv": EDGES, "nodes_csv": "id\na\nb\nc\n", "features_csv": "id,f\na,1\nb,2\nd,3\n"},
            "only one of the",
        ),
    ],
)
def test_what_is_wrong_with_a_folder(tmp_path, files, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        graph(folder(tmp_path, **files))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_graphs(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    np.savez(tmp_path / "objects.npz", edges=np.array([{}], dtype=object))
    (tmp_path / "latin.csv").write_bytes(b"\xff\xfe,b\n")
    (tmp_path / "edges.csv").write_text("0,1\n")
    (tmp_path / "features.npy").write_bytes(b"nothing")
    for name, message in (
        ("bad.npz", "not a readable .npz"), ("objects.npz", "not a readable .npz"), ("latin.csv", "no text in UTF-8"),
        ("", "is no readable array"), ("none.csv", "no file or folder"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=re.escape(message)):
            graph(str(tmp_path / name))


# --- sources ----------------------------------------------------------------------------------------------------------


def test_the_karate_club():
    club = karate()
    assert (len(club), len(edges_of(club))) == (34, 156)
    assert club.labels.bincount().tolist() == [17, 17]
    own = club.columns["graph"]
    dense = torch.eye(34)
    dense[own.edges[0], own.edges[1]] = 1
    assert torch.equal(own.x, dense)


FILL = ("gamma", "epsilon", "zeta", "eta")
PAGES = {
    "man3/one.3": '.TH one 3 2023 "Linux man-pages 6.03"\n.SH NAME\none, uno \\- does\n.SH DESCRIPTION\n'
    "alpha beta 123 \\fBgamma\\fP\n.SH SEE ALSO\n.BR two (2),\n.BR gone (9),\n.BR dos (2)\nwords\n",
    "man2/two.2": '.TH two 2 2023 "Linux man-pages 6.03"\n.SH NAME\ntwo, dos \\- does\n.SH DESCRIPTION\n'
    'alpha gamma\n.SH "SEE ALSO"\n.BR uno (3)\n',
    "man2/three.2": '.TH three 2 2023 "Linux man-pages 6.03"\n.SH NAME\nthree \\- does\n.SH DESCRIPTION\n'
    '.B beta\n.\\" a remark\nalpha delta\n.SH SEE ALSO\n.BR two (2)\n',
    **{f"man8/f{i}.8": f'.TH f{i} 8 2023 "Linux man-pages 6.03"\n.SH DESCRIPTION\n{t}\n' for i, t in enumerate(FILL)},
    "man3/old.3": ".so man3/one.3\n",
    "man1/other.1": '.TH other 1 "somebody else"\n.SH SEE ALSO\n.BR one (3)\n',
}


def test_manual_pages(tmp_path, monkeypatch):
    for name, text in PAGES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    for mark in ("man2/open.2.gz", "man3/printf.3.gz", "man7/signal.7.gz"):
        (tmp_path / mark).parent.mkdir(exist_ok=True)
        (tmp_path / mark).write_bytes(gzip.compress(b".so nothing\n"))
    monkeypatch.setenv("LIKEWISE_DATA_MAN_PAGES", str(tmp_path))
    found = man_pages()
    assert list(found.keys) == ["f0(8)", "f1(8)", "f2(8)", "f3(8)", "one(3)", "three(2)", "two(2)"]
    assert found.classes == ["2", "3", "8"]
    assert found.labels.tolist() == [2, 2, 2, 2, 1, 0, 0]
    assert edges_of(found) == [(4, 6), (5, 6), (6, 4), (6, 5)]  # by both names of a page; none to itself
    x = found.columns["graph"].x  # alpha, does, gamma: in three pages at least, in half of them at most
    assert x.tolist() == [
        [0, 0, 1], *[[0, 0, 0]] * 3, pytest.approx([1 / 3] * 3), [0.5, 0.5, 0], pytest.approx([1 / 3] * 3),
    ]  # fmt: skip
    (tmp_path / "man2" / "two.2.gz").write_bytes(b"\x1f\x8bdamaged")
    with pytest.raises(InputError, match=r"two\.2\.gz is damaged"):
        man_pages()


def test_words():
    bag, words = bag_of_words(["One two-two.", "two three", "three four 4th", "five"], 10, most=0.5, least=2)
    assert words == ["three", "two"]
    assert bag.tolist() == [[0, 1], [1, 1], [1, 0], [0, 0]]
    assert bag_of_words(["aaa bbb", "bbb aaa", "ccc"], 1, most=1.0)[1] == ["aaa"]


def test_a_graph_keeps_its_directions():
    found = load(Graph(torch.ones(3, 1), torch.tensor([[0, 1], [1, 2]])))
    assert edges_of(found) == [(0, 1), (1, 2)]
