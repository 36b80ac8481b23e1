"""Text: documents cut into windows of tokens; the sources that have names, and people's own."""

import importlib
import json
import os
import re
from collections.abc import Sequence
from typing import Any

import torch

from likewise.core.batch import Tokens
from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.catalogue import about, need
from likewise.data.dataset import Dataset, split_by_key
from likewise.data.labels import held_out
from likewise.data.readers import Reader, register_reader
from likewise.data.table import SPLITS, frame_columns, read_columns
from likewise.data.vocabulary import Vocabulary

TEXTS = ("text", "content", "document", "body", "sentence")
SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")
_SNIPPET = 60

Documents = list[tuple[str, str]]
"""A name and a text each."""


@part("data")
def text(path: str, length: int = 64, words: int = 2000, limit: int | None = None, test_share: float = 0.2) -> Dataset:
    """Documents in a ``.txt`` file, a folder of them, or the column ``text`` of a table or of JSON lines.

    The documents of a ``.txt`` file are its paragraphs, with empty lines between them. Each document is cut into
    windows of tokens, which are the rows; test rows are of other documents than training rows.

    Args:
        path: of the file or folder.
        length: tokens of a row. A row begins with the last token of the row before.
        words: in the vocabulary, which is learned from the training documents; 0: characters alone.
        limit: use at most this many training rows.
        test_share: share of the documents held out, by a hash of their text, where the file does not say.

    Raises:
        InputError: not such a file, or no text in it.
    """
    documents, test = read(path)
    return built(path, documents, length, words, test_share, test).limited(limit)


def read(path: str) -> tuple[Documents, list[bool] | None]:
    """The documents of a file or folder, and which are held out, or None where the file does not say."""
    if os.path.isdir(path):
        files = sorted(
            os.path.relpath(os.path.join(folder, name), path)
            for folder, _, names in os.walk(path)
            for name in names
            if name.lower().endswith(".txt") and not name.startswith(".")
        )
        if not files:
            raise InputError(f"folder {path!r} has no .txt files")
        return [(name, _read(os.path.join(path, name))) for name in files], None
    suffix = os.path.splitext(path)[1].lower()
    if suffix == ".txt":
        return paragraphs(_read(path)), None
    if suffix == ".jsonl":
        return _from_columns(_json_lines(path), path)
    if suffix in (".csv", ".tsv", ".parquet"):
        return _from_columns(read_columns(path), path)
    raise InputError(f"data {path!r} is a file of an unknown kind: text is read from {', '.join(SUFFIXES)} or a folder")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise InputError(f"{path!r} is not text in UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise InputError(f"{path!r} can't be read: {error.strerror}") from error


def paragraphs(whole: str) -> Documents:
    """A text's paragraphs, or its lines where it has less than two; a text of one line is cut in two."""
    for pattern in (r"\n[^\S\n]*\n", r"\n"):
        parts = [part.strip() for part in re.split(pattern, whole)]
        found = [(f"{i + 1}", part) for i, part in enumerate(filter(None, parts))]
        if len(found) > 1:
            return found
    line = whole.strip()
    at = line.find(" ", int(0.8 * len(line)))
    return [("1", line[:at]), ("2", line[at:])] if at > 0 else [("1", line)]


def _from_columns(columns: dict[str, list[Any]], path: str) -> tuple[Documents, list[bool] | None]:
    by_name = {str(name).strip().lower(): values for name, values in columns.items()}
    texts = next((by_name[name] for name in TEXTS if name in by_name), None)
    if texts is None:
        raise InputError(f"{path!r} has no column named text; it has {', '.join(map(str, columns))}")
    for row, value in enumerate(texts):
        if not isinstance(value, str):
            raise InputError(f"{path!r}: the text in row {row} is {value!r}, no text")
    splits = next((by_name[name] for name in SPLITS if name in by_name), None)
    test = None if splits is None else held_out([str(word) for word in splits], repr(path)).tolist()
    return [(str(row), value) for row, value in enumerate(texts)], test


def _json_lines(path: str) -> dict[str, list[Any]]:
    rows = []
    for number, line in enumerate(_read(path).splitlines(), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise InputError(f"{path!r}, line {number} is no JSON: {error.msg}") from error
            if not isinstance(rows[-1], dict):
                raise InputError(f'{path!r}, line {number} is no JSON object like {{"text": ...}}')
    names = dict.fromkeys(name for row in rows for name in row)
    if not rows:
        raise InputError(f"{path!r} is empty")
    return {name: [row.get(name) for row in rows] for name in names}


def built(
    name: str,
    documents: Documents,
    length: int | None = 64,
    words: int | Sequence[str] = 2000,
    test_share: float = 0.2,
    test: Sequence[bool] | None = None,
) -> Dataset:
    """The data set of documents; settings as for :func:`text`.

    Args:
        name: of the data set.
        documents: a name and a text each.
        length: tokens of a row; None: each document is a row.
        words: how many to learn, or the tokens of a vocabulary that is there.
        test_share: share of the documents that is held out; equal texts are on one side.
        test: which documents are held out, where it is known.
    """
    if length is not None and length < 2:
        raise InputError(f"length={length}: a row has at least 2 tokens, one and the next")
    if isinstance(words, int) and words < 0:
        raise InputError(f"words={words} must be at least 0")
    filled = [i for i, (_, content) in enumerate(documents) if content.strip()]
    if not filled:
        raise InputError(f"{name}: no text in it")
    documents = [documents[i] for i in filled]
    texts = [content for _, content in documents]
    aside = split_by_key(texts, test_share) if test is None else torch.tensor([test[i] for i in filled])
    learned = [content for content, out in zip(texts, aside.tolist()) if not out]
    vocabulary = Vocabulary.of(learned, words) if isinstance(words, int) else Vocabulary(words)
    coded = [[vocabulary.end, *vocabulary.encode(content), vocabulary.end] for content in texts]
    length = length or max(map(len, coded))
    rows: list[list[int]] = []
    keys, of = [], []
    for place, ((key, _), ids) in enumerate(zip(documents, coded)):
        for number, start in enumerate(range(0, len(ids) - 1, length - 1)):
            rows.append(ids[start : start + length])
            keys.append(_key(key, number, vocabulary.decode(rows[-1])))
            of.append(place)
    tokens = torch.full((len(rows), length), vocabulary.pad)
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(length) < lengths[:, None]
    tokens[mask] = torch.tensor([i for row in rows for i in row])
    return Dataset(
        name,
        {"text": Tokens(tokens, mask)},
        keys,
        aside[torch.tensor(of)],
        shared={"documents": documents, "held_out": aside.tolist()},
        known={"num_tokens": len(vocabulary), "length": length, "vocabulary": vocabulary.tokens},
    )


def _key(document: str, number: int, content: str) -> str:
    words = " ".join(content.split())
    return f"{document}/{number} {words[:_SNIPPET]}{'…' if len(words) > _SNIPPET else ''}"


def in_vocabulary(dataset: Dataset, vocabulary: Sequence[str], length: int) -> Dataset:
    """The same documents in the tokens of a trained model; texts that were handed over in a list are a row each."""
    held = dataset.shared
    if held.get("whole"):
        return built(dataset.name, held["documents"], None, vocabulary, test=held["held_out"])
    if tuple(dataset.known["vocabulary"]) == tuple(vocabulary) and dataset.known["length"] == length:
        return dataset
    return built(dataset.name, held["documents"], length, vocabulary, test=held["held_out"])


def from_object(data: Any) -> Dataset:
    """Text as Python users have it: a list of documents, or a data frame with a column text.

    Raises:
        InputError: something else.
    """
    if hasattr(data, "columns") and type(data).__module__.split(".")[0] == "pandas":
        documents, test = _from_columns(frame_columns(data), "data frame")
        return _handed_over("data frame", documents, test)
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        for i, item in enumerate(data):
            if not isinstance(item, str):
                raise InputError(f"item {i} of the list is a {type(item).__name__}, expected text")
        return _handed_over("list of texts", [(str(i), item) for i, item in enumerate(data)], None)
    raise InputError(
        f"data of type {type(data).__name__} is no text: give a path, a list of strings, or a data frame with a "
        "column text"
    )


def _handed_over(name: str, documents: Documents, test: list[bool] | None) -> Dataset:
    empty = next((key for key, content in documents if not content.strip()), None)
    if empty is not None:
        raise InputError(f"{name}: text {empty} is empty")
    out = built(name, documents, test=test)
    out.shared["whole"] = True
    return out


@part("data", "python-topics")
def python_topics(length: int = 64, words: int = 500, topics: int | None = None, limit: int | None = None) -> Dataset:
    """What ``help()`` says about Python's syntax, from the standard library: 80 topics, differing by version.

    Args:
        length: tokens of a row.
        words: in the vocabulary.
        topics: use only so many, the first by name.
        limit: use at most this many training rows.
    """
    held: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    out = built("python-topics", sorted(held.items())[:topics], length, words)
    out.about = about("python-topics")
    return out.limited(limit)


_BRACKETS = re.compile(r"[\[\]]")  # around words that the translators added


@part("data", "king-james")
def king_james(length: int = 96, words: int = 1000, books: int | None = None, limit: int | None = None) -> Dataset:
    """The King James Bible: 66 books, 4 million characters; documents are its 1189 chapters.

    Args:
        length: tokens of a row.
        words: in the vocabulary.
        books: use only so many, the first.
        limit: use at most this many training rows.
    """
    path = need("king-james") / "plain_text_readers_bible.py"
    source = path.read_text(encoding="utf-8")
    begin = source.index('"""') + 3
    content, rest = source[begin : source.index('"""', begin)], source[source.index('"""', begin) :]
    names = list(dict.fromkeys(re.findall(r"Book\.(\w+):", rest)))
    # a verse's number is book, chapter and verse, three digits each; first come all beginnings, then all ends
    starts = re.findall(r"^ +(\d+)(\d{3})001: (\d+),$", rest[: rest.index("},")], re.M)
    places = [int(start) for *_, start in starts] + [len(content)]
    documents = []
    for (book, chapter, _), start, end in zip(starts, places, places[1:]):
        if books is None or int(book) <= books:
            title = names[int(book) - 1].replace("_", " ").title()
            documents.append((f"{title} {int(chapter)}", _BRACKETS.sub("", content[start:end]).strip()))
    out = built("king-james", documents, length, words)
    out.about = about("king-james")
    return out.limited(limit)


register_reader(
    Reader(
        "text",
        "a .txt file, a folder of .txt files, a .csv, .tsv, .parquet or .jsonl with a column text",
        text,
        from_object,
    )
)
