"""The page of a study: what it found, drawn and as a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likewise.core.card import Card
from likewise.core.study import Finding
from likewise.report import charts, page, words


def write_study(path: Path, card: Card, finding: Finding, record: Mapping[str, Any]) -> Path:
    """Write the page.

    Args:
        path: of the HTML file.
        card: of the study.
        finding: what it found.
        record: the same for programs, with the seeds, the data and the command.
    """
    drawn = figures(finding)
    shown = dict.fromkeys(name for row in finding.rows for name in row)
    return page.write(
        path,
        page.render(
            "study.html",
            scripts=("charts.js",),
            data={"charts": drawn},
            title=card.name,
            card=card,
            finding=finding,
            record=record,
            figures=drawn,
            columns=[(name, words.title(name)) for name in shown],
            sections=["figure", "table", "runs", "again"],
        ),
    )


def figures(finding: Finding) -> list[dict[str, Any]]:
    """A chart for each of the finding's ``y``, over ``x``, a line for each series that has values."""
    series = list(dict.fromkeys(row.get(finding.series) for row in finding.rows)) if finding.series else [None]
    out = []
    for y in finding.y:
        lines = []
        for colour, one in enumerate(series):
            mine = [row for row in finding.rows if finding.series is None or row.get(finding.series) == one]
            points = sorted((row[finding.x], row[y]) for row in mine if row.get(y) is not None)
            if points:
                xs, ys = zip(*points)
                lines.append(charts.line(words.title(y) if one is None else str(one), xs, ys, colour=colour))
        if lines:
            out.append(charts.chart(words.title(y), lines, x=finding.x, says=words.metric(y).says))
    return out
