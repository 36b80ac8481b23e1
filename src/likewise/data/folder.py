"""A folder of images, with class folders or without."""

import os
from collections import Counter
from collections.abc import Callable, Sequence

from likewise.core.errors import InputError
from likewise.core.recipe import part
from likewise.data.catalogue import About
from likewise.data.dataset import Dataset, split_by_key
from likewise.data.decode import decode
from likewise.data.images import FOREIGN, SUFFIXES, Fit
from likewise.data.labels import TEST, TRAIN, VALIDATION, encode, held_out


@part("data")
def image_folder(
    path: str, image_size: int = 64, fit: Fit = "crop", limit: int | None = None, test_share: float = 0.2
) -> Dataset:
    """Every image under a folder, always RGB, sorted by path.

    Labels are the names of the first-level folders, if there are at least two; a folder where most images lie loose
    has none. ``train`` next to ``test`` (or ``val``) folders are the split; with both, ``val`` counts as training.
    Copies of one picture stay on one side of a split by hash. Hidden files are ignored, links are followed. What can't
    be read is in ``skipped``.

    Args:
        path: of the folder.
        image_size: pixels on a side that every image is brought to.
        fit: cut the middle square out (``"crop"``), add white borders (``"pad"``) or ``"stretch"``.
        limit: use at most this many training samples.
        test_share: share of the images held out, by a hash of the path, where the folder has no split.

    Raises:
        InputError: no such folder, no image in it, or none readable.
    """
    root = os.path.abspath(os.path.expanduser(path))
    if not os.path.isdir(root):
        raise InputError(f"no folder {path!r}" + (": it is a file" if os.path.exists(root) else ""))
    return from_folder(path, root, image_size, fit, test_share).limited(limit)


def from_folder(
    name: str,
    root: str,
    image_size: int,
    fit: Fit,
    test_share: float = 0.2,
    *,
    links: bool = True,
    suffixes: frozenset[str] = SUFFIXES,
    about: About | None = None,
    group: Callable[[str], str] = str,
) -> Dataset:
    """The images under ``root``; see :func:`image_folder`.

    Args:
        name: of the data set.
        root: absolute path.
        image_size: pixels on a side.
        fit: see :func:`likewise.data.images.read_image`.
        test_share: held out, where the folder has no split.
        links: follow them.
        suffixes: endings of the files that are pictures.
        about: origin and licence.
        group: keys with one group go to the same side of the split (mirrored copies).
    """
    keys, skipped = image_files(root, links, suffixes)
    words, labels = _layout(keys)
    stray = [i for i, label in enumerate(labels) if label is None]
    if len(stray) < len(keys):
        skipped += [(keys[i], "lies beside the class folders") for i in stray]
        use = [i for i, label in enumerate(labels) if label is not None]
    else:
        use = list(range(len(keys)))
    decoded = decode(root, [keys[i] for i in use], image_size, fit)
    skipped += [(keys[use[i]], reason) for i, reason in decoded.skipped.items()]
    rows = [use[i] for i in decoded.kept]
    kept = [keys[i] for i in rows]
    classes, codes = None, None
    if len(stray) < len(keys):
        codes, classes = encode([str(labels[i]) for i in rows], name)
    if words is None:
        test = split_by_key([group(kept[decoded.copies.get(i, i)]) for i in range(len(kept))], test_share)
    else:
        test = held_out([words[i] for i in rows], name)
    return Dataset(name, {"image": decoded.images}, kept, test, codes, classes, sorted(skipped), about, root)


def image_files(
    root: str, links: bool = True, suffixes: frozenset[str] = SUFFIXES
) -> tuple[list[str], list[tuple[str, str]]]:
    """Relative posix paths of the pictures under ``root``, sorted, and what looks like one but is not readable.

    Raises:
        InputError: there is none.
    """
    keys: list[str] = []
    skipped: list[tuple[str, str]] = []
    others: Counter[str] = Counter()

    def visit(folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> None:
        try:
            found = os.stat(folder)
            entries = sorted(os.scandir(folder), key=lambda e: e.name)
        except OSError as error:
            if not prefix:
                raise InputError(f"can't list the folder {root!r}: {error.strerror}") from error
            skipped.append((prefix.rstrip("/"), f"can't list this folder: {error.strerror}"))
            return
        here = (found.st_dev, found.st_ino)
        if here in above:  # a link to a folder that we are in
            return
        for entry in entries:
            if entry.name.startswith((".", "__MACOSX")) or (entry.is_symlink() and not links):
                continue
            key = prefix + entry.name
            suffix = os.path.splitext(entry.name)[1].lower()
            if os.path.isdir(entry.path):
                visit(entry.path, key + "/", (*above, here))
            elif suffix in FOREIGN and suffixes is SUFFIXES:
                skipped.append((key, f"{suffix} files are not read: save it as PNG or JPEG"))
            elif suffix not in suffixes:
                others[suffix or "no ending"] += 1
            elif not os.path.isfile(entry.path):
                skipped.append((key, "broken link" if entry.is_symlink() else "not a file"))
            else:
                keys.append(key)

    visit(root, "", ())
    if not keys:
        seen = others + Counter(os.path.splitext(key)[1].lower() for key, _ in skipped)
        there = ", ".join(f"{count} {suffix}" for suffix, count in seen.most_common(4))
        raise InputError(
            f"no images in {root!r} ({'found ' + there if there else 'it is empty'}); PNG, JPEG, ... wanted"
        )
    return sorted(keys), skipped


def _layout(keys: Sequence[str]) -> tuple[list[str] | None, list[str | None]]:
    """The split's word of every key, or None without a split; and every key's class folder, or None."""
    parts = [key.split("/") for key in keys]
    tops = {p[0].lower() for p in parts if len(p) > 1}
    words = None
    if (
        tops & TRAIN
        and tops & (TEST | VALIDATION)
        and all(len(p) > 1 and p[0].lower() in TRAIN | TEST | VALIDATION for p in parts)
    ):
        words = [p[0] for p in parts]
        parts = [p[1:] for p in parts]
    labels = [p[0] if len(p) > 1 else None for p in parts]
    loose = labels.count(None)
    if len(set(labels) - {None}) < 2 or loose > len(labels) - loose:
        return words, [None] * len(labels)
    return words, labels
