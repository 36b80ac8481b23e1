"""Graphs with a name: a karate club for first steps and tests, and the citations among manual pages."""

import gzip
import re
import zlib
from pathlib import Path

import numpy as np

from likewise.core.errors import InputError, require
from likewise.core.recipe import part
from likewise.data.catalogue import about, need
from likewise.data.dataset import Dataset
from likewise.data.graphs import from_arrays, partly_labelled
from likewise.data.words import bag_of_words, unit_sums


@part("data")
def karate() -> Dataset:
    """Zachary's karate club (1977): 34 members, who meets whom outside; the label is whom they followed in the split.

    A member's features are the members whom they meet, themselves included.
    """
    networkx = require("networkx", "graph", "the karate club")
    club = networkx.karate_club_graph()
    edges = np.array(list(club.edges), dtype=np.int64).T
    x = np.eye(len(club), dtype=np.float32)
    x[edges[0], edges[1]] = x[edges[1], edges[0]] = 1
    labels, classes = partly_labelled([club.nodes[i]["club"] for i in club], "karate")
    return from_arrays(
        "karate", edges, x, labels, keys=[f"member {i}" for i in club], classes=classes, about=about("karate")
    )


@part("data")
def man_pages(words: int = 1500) -> Dataset:
    """Pages of the Linux man-pages project, an edge from each to those that it says to see also; both ways.

    Features are the words of a page, rows that add up to 1; what a page says of others under SEE ALSO, its header and
    numbers are left out. The label is the section of the manual. Links of old names to a page are no pages.

    Args:
        words: columns: those in most pages, though in half of them at most.
    """
    folder = need("man-pages")
    pages = _pages(folder)
    if not pages:
        raise InputError(f"{folder} has no pages of the Linux man-pages project")
    keys = sorted(pages)
    at = {}
    for i, key in enumerate(keys):
        section = _split(key)[1]
        at[key] = i
        # a page has all names of its head: fprintf(3) is printf(3)
        for alias in pages[key][2]:
            at.setdefault(f"{alias}({section})", i)
    edges = [(i, at[ref]) for i, key in enumerate(keys) for ref in pages[key][1] if at.get(ref, i) != i]
    bag, _ = bag_of_words([pages[key][0] for key in keys], words, least=3)
    labels, classes = partly_labelled([_split(key)[1] for key in keys], "man-pages")
    ends = np.array(edges, dtype=np.int64).T
    return from_arrays("man-pages", ends, unit_sums(bag), labels, keys=keys, classes=classes, about=about("man-pages"))


Page = tuple[str, list[str], list[str]]
"""Its words, the pages that it refers to under SEE ALSO, and its names."""


def _split(key: str) -> tuple[str, str]:
    name, _, section = key.rpartition("(")
    return name, section.rstrip(")")


def _pages(folder: Path) -> dict[str, Page]:
    """``printf(3)`` -> what its page says, of all whole pages of the project under ``folder``."""
    out = {}
    for path in sorted(folder.glob("man*/*.gz")):
        name, _, section = path.name.removesuffix(".gz").rpartition(".")
        if path.is_symlink() or not name:
            continue
        try:
            text = gzip.decompress(path.read_bytes()).decode("latin-1")
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is damaged: {error}") from error
        # other projects' pages may lie there, too; a page of one line that names another is a link
        if re.search(r"^\.TH .*Linux man-pages", text, re.M):
            out[f"{name}({section})"] = _read(text)
    return out


def _read(text: str) -> Page:
    """A page in troff."""
    section, words, references, names = "", [], [], []
    for line in text.splitlines():
        if line.startswith(('.\\"', "'\\\"", ".TH")):
            continue
        if line.startswith(".SH"):
            section = line[3:].strip().strip('"').upper()
            continue
        macro, rest = (line[:3].strip(), line[3:]) if line.startswith(".") else ("", line)
        plain = re.sub(r"\\f.|\\&|\\-|\\\(..|\\", " ", rest)
        if section == "SEE ALSO":
            held = re.match(r'\s*"?([\w.+:-]+)"?\s*"?\((\d\w*)\)', rest.replace("\\-", "-"))
            if macro == ".BR" and held:
                references.append(f"{held[1]}({held[2]})")
            continue
        if section == "NAME":
            names += re.findall(r"[\w.+-]+", rest.replace("\\-", " - ").split(" - ")[0])
        words.append(plain)
    return " ".join(words), references, names
