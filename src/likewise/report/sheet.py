"""The answer to a search as a page: the query, and what is nearest to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from likewise.report import page
from likewise.report.pictures import picture
from likewise.report.samples import as_numpy


@dataclass(frozen=True)
class Item:
    """A query or an answer.

    Attributes:
        key: what a person calls it: a path, a row, a sentence.
        picture: uint8 ``(c, h, w)``, or None for what is no image.
        label: its class, or "".
        score: cosine similarity to the query; None for the query itself.
        link: address relative to the page, or "".
    """

    key: str
    picture: Any = None
    label: str = ""
    score: float | None = None
    link: str = ""


def write_search_sheet(path: Path, query: Item, hits: Sequence[Item], *, about: str = "") -> Path:
    """Write the page.

    Args:
        path: of the HTML file.
        query: what was searched with.
        hits: the answers, best first; none is fine.
        about: which run and which index, in a line.
    """
    shown = [_shown(item) for item in hits]
    texts = not any(item["picture"] for item in shown)
    title = f"Nearest to {query.key}" if len(query.key) < 60 else f"Nearest to {query.key[:57]}…"
    return page.write(
        path, page.render("sheet.html", title=title, query=_shown(query), hits=shown, texts=texts, about=about)
    )


def _shown(item: Item) -> dict[str, Any]:
    uri = "" if item.picture is None else picture(as_numpy(item.picture))
    return {"key": item.key, "label": item.label, "score": item.score, "picture": uri, "link": page.address(item.link)}
