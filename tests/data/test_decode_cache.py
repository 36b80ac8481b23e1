import json
import logging
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from likewise.data import decode as module
from likewise.data.decode import decode

Paint = Callable[..., Path]


@pytest.fixture
def folder(paint: Paint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures, two of them equal, and one file that is none; even so few go to the cache here."""
    monkeypatch.setattr(module, "_WORTH_KEEPING", 0)
    paint("a.png")
    paint("c.png")
    paint("d.png", seed="a.png")
    (tmp_path / "b.png").write_text("not a picture")
    return tmp_path


KEYS = ["a.png", "b.png", "c.png", "d.png"]


def entries(cache: Path) -> list[Path]:
    return sorted((cache / "decoded").iterdir())


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(module, "read_image", fail)


def test_decoded_once(folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = decode(str(folder), KEYS, 8, "crop")
    assert first.images.shape == (3, 3, 8, 8)
    assert first.kept == [0, 2, 3]
    assert first.skipped == {1: "not an image"}
    assert first.copies == {2: 0}
    assert len(entries(own_cache)) == 2
    forbid(monkeypatch)
    again = decode(str(folder), KEYS, 8, "crop")
    assert torch.equal(again.images, first.images)
    assert (again.kept, again.skipped, again.copies) == (first.kept, first.skipped, first.copies)


def test_same_pixels_with_and_without_the_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = decode(str(folder), KEYS, 8, "pad")
    monkeypatch.setattr(module, "_WORTH_KEEPING", 1 << 60)
    plain = decode(str(folder), KEYS, 8, "pad")
    assert torch.equal(cached.images, plain.images)
    assert (cached.kept, cached.skipped, cached.copies) == (plain.kept, plain.skipped, plain.copies)


def test_changes_are_seen_and_old_entries_removed(folder: Path, own_cache: Path, paint: Paint) -> None:
    first = decode(str(folder), KEYS, 8, "crop")
    paint("b.png", size=(20, 20))
    second = decode(str(folder), KEYS, 8, "crop")
    assert second.kept == [0, 1, 2, 3]
    assert len(entries(own_cache)) == 2
    assert torch.equal(second.images[[0, 2, 3]], first.images)
    decode(str(folder), KEYS, 16, "crop")
    decode(str(folder), KEYS, 8, "stretch")
    assert len(entries(own_cache)) == 6


def test_what_a_killed_process_left_is_removed(folder: Path, own_cache: Path) -> None:
    (own_cache / "decoded").mkdir()
    old, new = (own_cache / "decoded" / f".some-{pid}.part" for pid in (1, 2))
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (0, 0))
    decode(str(folder), KEYS, 8, "crop")
    assert not old.exists()
    assert new.exists()


def damage_array(array: Path, facts: Path) -> None:
    data = bytearray(array.read_bytes())
    data[-1] ^= 1
    array.write_bytes(data)


def cut_array(array: Path, facts: Path) -> None:
    array.write_bytes(array.read_bytes()[:-10])


def damage_facts(array: Path, facts: Path) -> None:
    facts.write_text(facts.read_text()[:20])


def wrong_facts(array: Path, facts: Path) -> None:
    facts.write_text(json.dumps([1, 2]))


def foreign_rows(array: Path, facts: Path) -> None:
    held = json.loads(facts.read_text())
    facts.write_text(json.dumps({**held, "skipped": {}}))


@pytest.mark.parametrize("damage", [damage_array, cut_array, damage_facts, wrong_facts, foreign_rows])
def test_a_damaged_entry_is_made_anew(
    folder: Path, own_cache: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path, Path], None]
) -> None:
    first = decode(str(folder), KEYS, 8, "crop")
    facts, array = entries(own_cache)
    damage(array, facts)
    again = decode(str(folder), KEYS, 8, "crop")
    assert torch.equal(again.images, first.images)
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "damaged" in caplog.text
    caplog.clear()
    decode(str(folder), KEYS, 8, "crop")
    assert not caplog.records


def test_a_cache_that_cannot_be_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LIKEWISE_CACHE", str(tmp_path / "file"))
    out = decode(str(folder), KEYS, 8, "crop")
    assert out.kept == [0, 2, 3]
    assert len(caplog.records) == 1
    assert "into memory" in caplog.text


def test_a_full_disk(folder: Path, own_cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))  # a file may not grow further: the write fails half-way
    try:
        out = decode(str(folder), KEYS, 8, "crop")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert out.images.shape == (3, 3, 8, 8)
    assert len(caplog.records) == 1
    assert entries(own_cache) == []


def test_large_arrays_are_mapped_and_the_file_stays(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = decode(str(folder), KEYS, 8, "crop").images
    monkeypatch.setattr(module, "_MAP_FROM", 0)
    mapped = decode(str(folder), KEYS, 8, "crop").images
    assert torch.equal(mapped, read)
    mapped.zero_()
    assert torch.equal(decode(str(folder), KEYS, 8, "crop").images, read)


def test_checksum_of_a_large_file_sees_a_changed_block(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(80 << 20)
    before = module._checksum(path)
    with open(path, "r+b") as file:
        file.seek((80 << 20) - 5)
        file.write(b"x")
    assert module._checksum(path) != before
