"""Everything in the documentation that is made from the code: method pages, the command reference, README's table.

python tools/build_docs.py            # the site's sources into build/docs, for mkdocs
python tools/build_docs.py --readme   # README.md's table, in place
"""

import contextlib
import io
import re
import shutil
import sys
from pathlib import Path

from likewise.cli import main as likewise
from likewise.cli.app import VERBS
from likewise.core import registry
from likewise.report.card import paper_link
from likewise.report.equation import equation
from likewise.report.ledger import read_results
from likewise.report.method import method_index, method_page

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "docs"
START, END = "<!-- methods: made by tools/build_docs.py --readme -->", "<!-- end of methods -->"


def methods_table() -> str:
    """README's tables, one for each kind of data: every method, its paper, and when to pick it."""
    listings = registry.listings().values()
    lines = []
    for modality in sorted({listing.card.modality for listing in listings}):
        lines += [f"\n**{modality}**\n", "| method | paper | when to pick it |", "|---|---|---|"]
        for listing in listings:
            card = listing.card
            if card.modality == modality:
                source = listing.path.relative_to(ROOT).as_posix()
                paper = f"[{card.title}]({paper_link(card.paper)}) ({card.year})"
                lines.append(f"| [`{card.slug}`]({source}) | {paper} | {card.pick} |")
    return "\n".join(lines)


def readme(text: str) -> str:
    """README's text with a fresh table between the markers."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    if not after:
        raise ValueError(f"README.md lost its markers {START} and {END}")
    return f"{before}{START}\n{methods_table()}\n{END}{after}"


def commands() -> str:
    """The command reference: what every verb's ``--help`` says."""
    parts = ["# The command line\n", "```text", _help([]), "```\n"]
    for verb in VERBS:
        parts += [f"## {verb}\n", "```text", _help([verb]), "```\n"]
    return "\n".join(parts)


def _help(verb: list[str]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        likewise([*verb, "--help"])
    return out.getvalue().strip()


def mathematics(text: str) -> str:
    """Display equations as drawings: the site loads nothing from anywhere."""

    def drawn(found: re.Match[str]) -> str:
        return "\n".join(line for line in str(equation(found[1])).splitlines() if line.strip())

    return re.sub(r"\$\$\n(.*?)\n\$\$", drawn, text, flags=re.DOTALL)


def results(text: str) -> str:
    """A page with the results of benchmarks in their places, once there are any."""

    def found(place: re.Match[str]) -> str:
        path = ROOT / place[1]
        return path.read_text(encoding="utf-8").replace("](", "](images/") if path.is_file() else ""

    return re.sub(r"<!-- (benchmarks/results/\w+\.md) -->", found, text)


def build(site: Path = SITE) -> None:
    """Lay the site's sources out for mkdocs."""
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(ROOT / "docs", site)
    for page in site.glob("*.md"):
        page.write_text(mathematics(results(page.read_text(encoding="utf-8"))), encoding="utf-8")
    for picture in (ROOT / "benchmarks" / "results").glob("*.png"):
        shutil.copy(picture, site / "images")
    (site / "commands.md").write_text(commands(), encoding="utf-8")
    folder = site / "methods"
    folder.mkdir()
    (folder / "index.md").write_text(method_index(), encoding="utf-8")
    ledger = read_results(ROOT / "benchmarks" / "claims")
    for slug, listing in registry.listings().items():
        (folder / f"{slug}.md").write_text(mathematics(method_page(listing, ledger)), encoding="utf-8")
    for name in ("CHANGELOG", "CONTRIBUTING"):
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        (site / f"{name.lower()}.md").write_text(re.sub(r"\]\(docs/", "](", text), encoding="utf-8")


if __name__ == "__main__":
    if "--readme" in sys.argv:
        path = ROOT / "README.md"
        path.write_text(readme(path.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        build()
