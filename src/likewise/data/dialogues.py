"""Pictures with turns of questions and answers about each.

Columns: ``image`` uint8 ``(n, c, h, h)``; ``question`` and ``answer``, tokens ``(n, k, t)`` of the k turns of each
picture. Words are hashed, so that no vocabulary has to be kept.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from likewise.core.batch import View
from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.core.tokens import words_of
from likewise.data.arrays import to_images
from likewise.data.catalogue import About
from likewise.data.dataset import Dataset, split_by_key
from likewise.data.decode import decode
from likewise.data.readers import Reader, register_reader

Turn = tuple[str, str]


@part("data")
def dialogues(path: str, image_size: int = 32, limit: int | None = None, test_share: float = 0.2) -> Dataset:
    """The pictures that a ``.jsonl`` file lists, a line each, with what is asked and answered about them.

    A line is ``{"image": "dog.jpg", "turns": [["what is it?", "a dog"], ["where?", "on a lawn"]]}``: the picture's path
    from the file's folder, and pairs of a question and its answer, or ``{"question": ..., "answer": ...}``. Every
    picture has the same number of turns.

    Args:
        path: of the file.
        image_size: pixels on a side that every picture is brought to.
        limit: use at most this many training samples.
        test_share: share of the pictures held out, by a hash of the path.

    Raises:
        InputError: no such file, a line that is none of these, or no readable picture.
    """
    file = os.path.abspath(os.path.expanduser(path))
    if not file.lower().endswith(".jsonl"):
        raise InputError(f'{path!r} is no .jsonl file with lines like {{"image": "dog.jpg", "turns": [["?", "!"]]}}')
    try:
        lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path!r} can't be read in UTF-8: {error}") from error
    held = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                held.append((f"{path!r}, line {number}", json.loads(line)))
            except ValueError as error:
                raise InputError(f"{path!r}, line {number} is no JSON: {error}") from error
    return _of_records(path, held, os.path.dirname(file), image_size, test_share).limited(limit)


def from_object(data: Any) -> Dataset:
    """A list of dicts as the lines of a file (see :func:`dialogues`), or ``{"image": array, "turns": [...]}``.

    Raises:
        InputError: something else.
    """
    if isinstance(data, Mapping) and {"image", "turns"} <= set(data):
        images = to_images(data["image"], "image")
        if len(images) != len(data["turns"]):
            raise InputError(f"{len(images)} pictures but turns of {len(data['turns'])}")
        turns = [_turns(t, f"turns[{i}]") for i, t in enumerate(data["turns"])]
        return of_turns("dict", images, turns, [str(i) for i in range(len(images))])
    if isinstance(data, list) and data and all(isinstance(record, Mapping) for record in data):
        return _of_records("list", [(f"item {i}", dict(r)) for i, r in enumerate(data)], os.getcwd(), 32, 0.2)
    raise InputError(
        f"data of type {type(data).__name__} are no dialogues: give a .jsonl file, a list of "
        '{"image": path, "turns": [(question, answer), ...]}, or {"image": array, "turns": [...]}'
    )


def of_turns(
    name: str,
    images: Tensor,
    turns: Sequence[Sequence[Turn]],
    keys: Sequence[str],
    *,
    test: Tensor | None = None,
    test_share: float = 0.2,
    about: About | None = None,
    skipped: Sequence[tuple[str, str]] = (),
    root: str = "",
) -> Dataset:
    """The data set of pictures ``(n, c, h, h)`` and each one's turns.

    Raises:
        InputError: numbers of turns that differ.
    """
    count = len(turns[0])
    odd = next((i for i, t in enumerate(turns) if len(t) != count), None)
    if odd is not None:
        raise InputError(
            f"{name!r}: {keys[odd]} has {len(turns[odd])} turns, {keys[0]} has {count}: every picture needs as many"
        )
    columns: dict[str, View] = {
        "image": images,
        "question": words_of([[q for q, _ in t] for t in turns]),
        "answer": words_of([[a for _, a in t] for t in turns]),
    }
    test = split_by_key(keys, test_share) if test is None else test
    return Dataset(name, columns, keys, test, about=about, skipped=skipped, root=root, known={"turns": count})


def _of_records(
    name: str, records: Sequence[tuple[str, Any]], root: str, image_size: int, test_share: float
) -> Dataset:
    if not records:
        raise InputError(f"{name!r} has no pictures")
    turns: dict[str, list[Turn]] = {}
    for where, record in records:
        if not isinstance(record, dict) or not isinstance(record.get("image"), str) or "turns" not in record:
            raise InputError(f'{where}: expected {{"image": "dog.jpg", "turns": [["question", "answer"], ...]}}')
        if record["image"] in turns:
            raise InputError(f"{where}: the picture {record['image']!r} comes twice; put its turns together")
        turns[record["image"]] = _turns(record["turns"], where)
    keys = list(turns)
    found = decode(root, keys, image_size, "crop")
    kept = [keys[i] for i in found.kept]
    skipped = [(keys[i], why) for i, why in found.skipped.items()]
    return of_turns(
        name, found.images, [turns[k] for k in kept], kept, test_share=test_share, skipped=skipped, root=root
    )


def _turns(held: Any, where: str) -> list[Turn]:
    out: list[Turn] = []
    for number, turn in enumerate(held if isinstance(held, list | tuple) else (), 1):
        pair = (turn.get("question"), turn.get("answer")) if isinstance(turn, Mapping) else turn
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(t, str) for t in pair):
            raise InputError(f"{where}: turn {number} is no pair of a question and an answer")
        if not all(text.strip() for text in pair):
            raise InputError(f"{where}: turn {number} has an empty question or answer")
        out.append((pair[0], pair[1]))
    if not out:
        raise InputError(f"{where}: no turns of a question and an answer")
    return out


register_reader(
    Reader(
        "dialogue",
        'a .jsonl with lines like {"image": "dog.jpg", "turns": [["what is it?", "a dog"]]}',
        dialogues,
        from_object,
    )
)
