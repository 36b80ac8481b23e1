"""Text as rows of tokens: the vocabulary, windows, the split by document, and what people's files look like."""

import json

import pytest
import torch

from likewise.core.errors import InputError
from likewise.data.resolve import from_object, resolve
from likewise.data.text import built, in_vocabulary, king_james, paragraphs, python_topics
from likewise.data.vocabulary import END, PAD, UNKNOWN, Vocabulary
from needs import needs

POEM = "\n\n".join(
    f"Stanza {word} is a stanza,\nand {word} it stays." for word in ("one", "two", "three", "four", "five", "sit")
)


def words_of(dataset, test=None):
    vocabulary = Vocabulary(dataset.known["vocabulary"])
    rows = dataset.columns["text"]
    chosen = range(len(dataset)) if test is None else (dataset.test == test).nonzero().flatten().tolist()
    return [vocabulary.decode(rows.ids[i][rows.mask[i]].tolist()) for i in chosen]


@pytest.mark.parametrize("words", [0, 5, 100])
@pytest.mark.parametrize(
    "text", ["In the beginning, God: created 7 heavens!?", "  two  blanks\n\nand\tlines_ \n", "Größe µ² 漢字 ’quoted’"]
)
def test_a_vocabulary_loses_nothing(text, words):
    vocabulary = Vocabulary.of([text, text], words)
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert len(vocabulary) <= 3 + len(set(text)) + words
    if words == 0:
        assert len(ids) == len(text)


def test_common_words_are_tokens_and_others_are_spelt():
    vocabulary = Vocabulary.of(["the cat and the dog and the end"], 2)
    assert vocabulary.tokens[-2:] == (" and", " the")
    assert [vocabulary.tokens[i] for i in vocabulary.encode(" the cot")] == [" the", " ", "c", "o", "t"]
    assert vocabulary.encode("q") == [vocabulary.unknown]
    assert vocabulary.decode([vocabulary.pad, vocabulary.unknown, vocabulary.end]) == "\ufffd"
    assert Vocabulary.of(["b a", "a b"], 9).tokens == Vocabulary.of(["a b", "b a"], 9).tokens


def test_special_tokens_can_not_be_typed():
    vocabulary = Vocabulary.of([f"{PAD} {UNKNOWN} {END} " * 3], 50)
    assert min(vocabulary.encode(f"{END}{PAD}{UNKNOWN}")) > 2
    with pytest.raises(ValueError, match="special tokens"):
        Vocabulary(["a", "b"])


def test_every_token_of_a_document_is_predicted_once():
    text = "one two three four five six seven eight nine ten " * 3
    dataset = built("x", [("a", text), ("b", "other words")], length=8, test=[False, True])
    rows, vocabulary = dataset.columns["text"], Vocabulary(dataset.known["vocabulary"])
    mine = [rows.ids[i][rows.mask[i]] for i in range(len(dataset)) if dataset.keys[i].startswith("a/")]
    whole = torch.cat([mine[0][:1], *(row[1:] for row in mine)]).tolist()
    assert whole == [vocabulary.end, *vocabulary.encode(text), vocabulary.end]
    assert all(len(row) >= 2 for row in mine)
    assert (rows.ids[~rows.mask] == vocabulary.pad).all()


def test_test_text_is_never_seen():
    documents = [(str(i), f"document {i % 15} speaks of matter {i % 15}") for i in range(30)]
    dataset = built("x", documents, length=4)
    train, test = set(words_of(dataset, False)), set(words_of(dataset, True))
    sides = {key.split("/")[0]: bool(out) for key, out in zip(dataset.keys, dataset.test)}
    assert all(sides[str(i)] == sides[str(i + 15)] for i in range(15)), "copies of a text are on both sides"
    assert train
    assert test
    # and the vocabulary is that of the training text
    learned = Vocabulary.of([text for key, text in documents if not sides[key]], 2000)
    assert dataset.known["vocabulary"] == learned.tokens


def test_paragraphs_lines_and_a_single_line():
    assert [text for _, text in paragraphs("a\nb\n \n\nc\n")] == ["a\nb", "c"]
    assert [text for _, text in paragraphs("a\nb\n")] == ["a", "b"]
    assert [text for _, text in paragraphs("one two three four five six")] == ["one two three four five", " six"]
    assert "".join(text for _, text in paragraphs("one two three")) == "one two three"


def test_files_of_each_kind(tmp_path):
    (tmp_path / "poem.txt").write_text(POEM)
    texts = POEM.split("\n\n")
    (tmp_path / "poem.jsonl").write_text("".join(json.dumps({"text": t, "n": i}) + "\n" for i, t in enumerate(texts)))
    table = ['text,split\n"' + '",train\n"'.join(t.replace('"', '""') for t in texts[:-1]) + '",train']
    (tmp_path / "poem.csv").write_text("\n".join([*table, f'"{texts[-1]}",test']))
    folder = tmp_path / "poems" / "more"
    folder.mkdir(parents=True)
    for i, stanza in enumerate(texts):
        (folder / f"{i}.txt").write_text(stanza)
    for name in ("poem.txt", "poem.jsonl", "poem.csv", "poems"):
        dataset = resolve(str(tmp_path / name), "text", length=16).build()
        joined = "".join(words_of(dataset)).replace("\ufffd", "")
        assert "Stanza" in joined, name
        assert dataset.test.any(), name
        assert not dataset.test.all(), name
        assert dataset.columns["text"].ids.shape[1] == 16
    held = resolve(str(tmp_path / "poem.csv"), "text").build()
    assert "sit" in "".join(words_of(held, True))
    assert "sit" not in "".join(words_of(held, False))
    assert resolve(str(tmp_path / "poems"), "text").build().keys[0].startswith("more/0.txt/0 Stanza one")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "no text in it"),
        ("a.txt", b" \n\n \n", "no text in it"),
        ("a.txt", b"\xff\xfe\x00", "is not text in UTF-8"),
        ("a.csv", b"words,label\nhello,1\n", "no column named text; it has words, label"),
        ("a.csv", b"text\n", "no text in it"),
        ("a.jsonl", b'{"text": "a"}\n{"text": 3}\n', "row 1 is 3, no text"),
        ("a.jsonl", b'{"text": "a"}\n{"other": "b"}\n', "row 1 is None, no text"),
        ("a.jsonl", b'{"text": \n', "line 1 is no JSON"),
        ("a.jsonl", b"[1]\n", "line 1 is no JSON object"),
        ("a.jsonl", b"", "is empty"),
        ("a.pdf", b"%PDF", "file of an unknown kind: text is read from .txt"),
    ],
)
def test_files_that_hold_no_text(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        resolve(str(tmp_path / name), "text").build()


def test_a_folder_without_text(tmp_path):
    with pytest.raises(InputError, match=r"has no \.txt files"):
        resolve(str(tmp_path), "text").build()


def test_objects():
    dataset = from_object(["a list", "of some", "texts here"], modality="text")
    assert len(dataset) == 3
    for wrong, message in ((3, "type int is no text"), (b"a b", "type bytes"), (["a", 3], "item 1 .* int")):
        with pytest.raises(InputError, match=message):
            from_object(wrong, modality="text")
    with pytest.raises(InputError, match="no such file or data source 'a b'"):
        from_object("a b", modality="text")
    with pytest.raises(InputError, match="text 1 is empty"):
        from_object(["a", " "], modality="text")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"Text": ["one", "two"], "split": ["train", "test"]})
    assert from_object(frame, modality="text").test.tolist() == [False, True]
    with pytest.raises(InputError, match="no column named text"):
        from_object(pandas.DataFrame({"x": ["one"]}), modality="text")


@pytest.mark.parametrize(("settings", "message"), [({"length": 1}, "length=1"), ({"words": -1}, "words=-1")])
def test_wrong_settings(settings, message):
    with pytest.raises(InputError, match=message):
        built("x", [("a", "some text")], **settings)


def test_other_texts_in_the_tokens_of_a_run():
    own = python_topics(length=16, words=50, topics=3)
    texts = from_object(["a class statement", "and a much longer text " * 20], modality="text")
    other = in_vocabulary(texts, own.known["vocabulary"], 16)
    assert other.known["vocabulary"] == own.known["vocabulary"]
    assert len(other) == 2  # texts of a list are a row each, however long
    assert "".join(words_of(other)[1]) == "and a much longer text " * 20
    assert in_vocabulary(own, own.known["vocabulary"], 16) is own


def test_topics_of_python():
    dataset = python_topics()
    assert len(dataset.shared["documents"]) > 50
    assert 0.05 < dataset.test.float().mean() < 0.5
    assert len(python_topics(limit=7).train_rows) == 7


@needs("king-james")
def test_king_james():
    dataset = king_james(books=1)
    documents = dict(dataset.shared["documents"])
    assert len(documents) == 50
    assert documents["Genesis 1"].startswith("In the beginning God created the heaven and the earth.")
    assert documents["Genesis 50"].endswith("and he was put in a coffin in Egypt.")
    assert not any("[" in text for text in documents.values())
