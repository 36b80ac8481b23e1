"""A method's page for the documentation, made from its card and its class, without importing the method."""

import ast
import re
from collections.abc import Sequence

from likewise.core.registry import Listing, listings
from likewise.report.card import STATUS, code_link, paper_link, traits
from likewise.report.ledger import Result
from likewise.report.page import number, signed

_OWN_DATA = {
    "image": "~/photos",
    "text": "sentences.txt",
    "graph": "edges.csv",
    "series": "series.csv",
    "multimodal": "animals",
    "dialogue": "album.jsonl",
}


def method_page(listing: Listing, results: Sequence[Result] = ()) -> str:
    """The page in Markdown, mathematics between ``$$``.

    Args:
        listing: of the method.
        results: claims that were checked; those of other methods are left out.
    """
    card = listing.card
    paper = _link(card.paper, paper_link(card.paper))
    lines = [f"# {card.name}", "", f"*{card.title}* ({card.year}), {paper}", ""]
    lines += [f"**Pick it when:** {card.pick}", ""]
    lines += [f"- **learns from:** {card.modality}, for {card.task}", f"- **contrasts:** {card.contrasts}"]
    lines += [f"- **status:** {card.status}: {STATUS[card.status]}"]
    lines += ["", "## Equation", "", "$$", card.equation, "$$"] if card.equation else []
    lines += ["", "## Use it", "", *_commands(listing)]
    lines += ["", "## How it behaves", "", *(f"- {text}" for text in traits(card))] if traits(card) else []
    if listing.knobs:
        lines += ["", "## Settings", ""]
        lines += ["Set with `--set NAME=VALUE`, or by keyword in `likewise.fit`.", ""]
        lines += ["| name | default | what it is |", "|---|---|---|"]
        told = settings_told(listing)
        lines += [f"| `{name}` | `{_cell(value)}` | {_cell(told.get(name, ''))} |" for name, value in listing.knobs]
    if card.deviations:
        lines += ["", "## What differs from the paper or its code", "", *(f"- {text}" for text in card.deviations)]
    lines += ["", "## Evidence", "", *_evidence(listing, results)]
    lines += ["", "## Source", "", f"- code here: `{_place(listing)}`"]
    if card.code:
        lines.append(f"- published code: {_link(card.code, code_link(card.code))}")
    return "\n".join(lines) + "\n"


def method_index(link: str = "{slug}.md") -> str:
    """A Markdown table of all methods for each modality; ``link`` is where a name leads, with ``{slug}``."""
    groups: dict[str, list[Listing]] = {}
    for listing in listings().values():
        groups.setdefault(listing.card.modality, []).append(listing)
    parts = ["# Methods", ""]
    for modality, held in sorted(groups.items()):
        parts += [
            f"## {modality}",
            "",
            "| method | paper | what is contrasted | when to pick it |",
            "|---|---|---|---|",
        ]
        for card in (listing.card for listing in held):
            cells = (
                f"[{card.name}]({link.format(slug=card.slug)})",
                f"{card.title} ({card.year})",
                card.contrasts,
                card.pick,
            )
            parts.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
        parts.append("")
    return "\n".join(parts)


def settings_told(listing: Listing) -> dict[str, str]:
    """What the class's docstring says of each setting (its ``Args`` section), read from the source."""
    tree = ast.parse(listing.path.read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in classes.values():
        if f"slug={listing.card.slug!r}" in _decorators(node):
            # settings that are inherited are told where they stand first
            bases = [classes[name] for base in node.bases if (name := ast.unparse(base)) in classes]
            return {name: text for told in [*bases, node] for name, text in _args(told).items()}
    return {}


def _args(node: ast.ClassDef) -> dict[str, str]:
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", ast.get_docstring(node) or "", re.MULTILINE | re.DOTALL)
    found = re.findall(r"^    (\w+): (.*?)(?=^    \S|\Z)", section[1] if section else "", re.MULTILINE | re.DOTALL)
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}


def _decorators(node: ast.ClassDef) -> str:
    return " ".join(ast.unparse(decorator) for decorator in node.decorator_list)


def _commands(listing: Listing) -> list[str]:
    card = listing.card
    if card.kind != "learner":
        verb = {
            "decoder": f'decode {card.slug} --prompt "..."',
            "study": f"study {card.slug}",
            "agent": f"run {card.slug}",
        }
        return ["```bash", f"likewise {verb[card.kind]}", "```"]
    own = _OWN_DATA.get(card.modality, "PATH")
    out = ["```bash", f"likewise train {card.slug}                      # on its recipe's own data (likewise data)"]
    out += [f"likewise train {card.slug} --data {own} --out runs/mine", "```"]
    return [*out, "```python", "import likewise", f'run = likewise.fit("{own}", method="{card.slug}")', "```"]


def _evidence(listing: Listing, results: Sequence[Result]) -> list[str]:
    card = listing.card
    if card.oracle:
        out = ["- Value and gradient of the equation are tested against numbers of the authors' code."]
    else:
        out = ["- Value and gradient of the equation are tested against a second derivation, written as plain loops."]
    own = [r for r in results if r.method == card.slug]
    if card.claim and not own:
        claim = card.claim
        where = f"{claim.metric} on {claim.data}, against `{claim.beats}`"
        out.append(f"- Claim, not run yet: {claim.says.rstrip('.')} ({where}).")
    for r in own:
        means = f"{number(r.mean('method'))} against {number(r.mean('baseline'))} of `{r.baseline}`"
        interval = "" if r.interval is None else f", 95% interval {signed(r.interval[0])} to {signed(r.interval[1])}"
        verdict = f"**{r.verdict.capitalize()}** over {len(r.seeds)} seeds"
        out.append(f"- {r.says} {verdict}: {r.metric} on {r.data} {means}{interval}.")
    return out


def _place(listing: Listing) -> str:
    parts = listing.path.parts
    return "/".join(parts[parts.index("src") :]) if "src" in parts else listing.module or listing.path.name


def _link(text: str, address: str) -> str:
    return f"[{text}]({address})" if address else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
