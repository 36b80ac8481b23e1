"""``likewise new``: a method of your own, as one file that works and a test for it."""

import ast
import keyword
import re
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json
from likewise.core import registry
from likewise.core.errors import InputError


def new(
    slug: Annotated[str, typer.Argument(metavar="NAME", help="Of the method: small letters, digits and dashes.")],
    like: Annotated[
        str | None, typer.Option(metavar="METHOD", help="Start from the file of this method instead of the template.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write.")] = Path(),
    json: Json = False,
) -> None:
    """Write a method of your own to start from.

    One file with class, card and recipes that trains as it is, and its test.

    Examples:
      likewise new my-method
      likewise new my-method --like dcl --out my_project
      likewise check my_method.py:MyMethod
      likewise train my_method.py:MyMethod --data digits --size tiny
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", slug) or keyword.iskeyword(slug):
        raise InputError(f"{slug!r} can't name a method: small letters, digits and single dashes, like my-method")
    if slug in registry.listings():
        raise InputError(f"there is a method {slug!r} already (likewise show {slug}): choose another name")
    module, name = slug.replace("-", "_"), "".join(word.capitalize() for word in slug.split("-"))
    text = (
        Template(METHOD).substitute(slug=slug, name=name, module=module) if like is None else renamed(like, slug, name)
    )
    test = TEST if like is None else TEST.split("\n\n\ndef test_views")[0] + "\n"
    files = {out / f"{module}.py": text, out / f"test_{module}.py": Template(test).substitute(name=name, module=module)}
    for path in files:
        if path.exists():
            raise InputError(f"{path} exists already: choose another name or --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't write into {out}: {error.strerror or error}") from error
    method = f"{out / module}.py:{name}"
    if json:
        terminal.emit({"files": list(files), "method": method})
        return
    terminal.line("done", *(str(path) for path in files))
    terminal.line("next", f"likewise check {method}", f"likewise train {method} --data digits")


def renamed(like: str, slug: str, name: str) -> str:
    """The source of the method ``like`` as a method of its own: another slug and class, no claim, no fixture.

    What it needs of other methods in the same file is imported from there.
    """
    listing = registry.listing(like)
    source = listing.path.read_text(encoding="utf-8")
    defined = {n.name: n for n in ast.parse(source).body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    mine = next(n for n in defined.values() for call in _decorators(n, "register") if _slug(call) == like)
    owners = {n.name: ast.unparse(c.args[0]) for n in defined.values() for c in _decorators(n, "recipe")}
    owners |= {n.name: n.name for n in defined.values() if _decorators(n, "register")}
    needed = {mine.name, *(n for n, owner in owners.items() if owner == mine.name)}
    foreign = set(owners) - needed
    while grown := {i for n in needed - foreign for i in _names(defined[n]) if i in defined} - needed:
        needed |= grown
    lines = source.splitlines(keepends=True)
    cards = [edit for call in _decorators(mine, "register") for edit in _card_edits(call, slug, name)]
    dropped = [n for n in defined.values() if n.name not in needed or n.name in foreign]
    spans = [(min([d.lineno for d in n.decorator_list], default=n.lineno) - 1, n.end_lineno or 0, "") for n in dropped]
    for first, last, text in sorted([*cards, *spans], reverse=True):
        lines[first:last] = [text] if text else []
    imported = ", ".join(sorted(needed & foreign))
    text = _pruned("".join(lines), f"from {listing.module} import {imported}\n" if imported else "")
    return re.sub(rf"(?<![.\w]){mine.name}(?!\w)", name, text)


def _pruned(source: str, extra: str) -> str:
    """The source with the imports that it uses and an ``extra`` one, and no more than two empty lines in a row."""
    tree = ast.parse(source)
    used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    lines = source.splitlines(keepends=True)
    for node in reversed(imports):
        kept = [a for a in node.names if (a.asname or a.name).split(".")[0] in used]
        if len(kept) < len(node.names):
            node.names = kept
            lines[node.lineno - 1 : node.end_lineno] = [ast.unparse(node) + "\n"] if kept else []
    if extra:
        place = imports[-1].end_lineno or 0
        lines.insert(place - (len(source.splitlines()) - len(lines)), extra)
    return re.sub(r"\n{4,}", "\n\n\n", "".join(lines)).rstrip("\n") + "\n"


def _decorators(node: ast.ClassDef | ast.FunctionDef, name: str) -> list[ast.Call]:
    return [d for d in node.decorator_list if isinstance(d, ast.Call) and getattr(d.func, "id", "") == name]


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _slug(call: ast.Call) -> object:
    card = call.args[0]
    assert isinstance(card, ast.Call)
    return next((k.value.value for k in card.keywords if k.arg == "slug" and isinstance(k.value, ast.Constant)), None)


def _card_edits(call: ast.Call, slug: str, name: str) -> list[tuple[int, int, str]]:
    """Lines of the card that say whose method it is."""
    card = call.args[0]
    assert isinstance(card, ast.Call)
    values = {"slug": f'"{slug}"', "name": f'"{name}"', "oracle": '""', "claim": "None"}
    held = [k for k in card.keywords if k.arg in values]
    return [(k.lineno - 1, k.end_lineno or k.lineno, f"        {k.arg}={values[str(k.arg)]},\n") for k in held]


METHOD = '''"""$name: say in one line what is pulled together and what is pushed apart.

As it stands it is SimCLR, and it trains. Change what makes your method yours; the rest can stay.
"""

from likewise.core.batch import Batch
from likewise.core.card import Card, Traits
from likewise.core.comm import Collective
from likewise.core.learner import Embeddings, Encoder, Learner, Step
from likewise.core.recipe import Recipe, spec
from likewise.core.registry import recipe, register
from likewise.data.sources import digits
from likewise.parts.encoders import ConvNet
from likewise.parts.heads import mlp
from likewise.parts.losses import NTXent
from likewise.parts.optimizers import adam
from likewise.parts.schedules import cosine
from likewise.views.image import simclr_views


# The card is read without running this file, so it holds literals only. Tables, pages and the checks come from it.
@register(
    Card(
        slug="$slug",  # its name on the command line
        name="$name",  # in tables and pages
        title="A Simple Framework for Contrastive Learning of Visual Representations",  # the paper, while it is SimCLR
        paper="arXiv:2002.05709",
        year=2020,
        modality="image",
        task="representation learning without labels",
        contrasts="two crops of one image against the crops of every other image in the batch",
        pick="Say when somebody should take it.",
        equation=r"\\mathcal{L} = -\\log\\frac{e^{s_{ip}/\\tau}}{\\sum_{k \\neq i} e^{s_{ik}/\\tau}}",
        # what the checks may expect: how the loss splits over devices, the smallest batch, whether it needs labels, ...
        traits=Traits(splits="gather", min_batch=2),
    )
)
class $name(Learner):
    """One sentence; then the equation with its symbols, the source, and what differs from it.

    Args:
        encoder: from a view to ``(n, encoder.dim)``; what is kept after training.
        width: of the head's hidden layer.
        dim: of the embeddings that the loss compares.
        temperature: of the similarities.
    """

    # Every argument is a setting, its type is checked: --set temperature=0.2, --set learner.encoder=resnet18.
    def __init__(self, encoder: Encoder, *, width: int = 128, dim: int = 64, temperature: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = mlp(encoder.dim, width, dim)
        self.loss = NTXent(temperature)

    # Rows by themselves: no other process, no comparison of rows. batch.views holds views by role; two_crops and its
    # relatives call them "a" and "b".
    def encode(self, batch: Batch) -> Embeddings:
        """Projections of both views, ``(n, dim)`` each."""
        return {role: self.head(self.encoder(view)) for role, view in batch.views.items()}

    # The whole batch: compare rows by batch.ids or batch.labels, never by their position, and use comm.gather for the
    # rows of other processes. Losses of likewise.losses do both. `logs` become curves in the report.
    def objective(self, z: Embeddings, batch: Batch, comm: Collective) -> Step:
        """The loss over everybody's rows."""
        loss = self.loss(z["a"], z["b"], ids=batch.ids, comm=comm)
        spread = z["a"].detach().float().std(0, correction=0).mean()
        return Step(loss, logs={"spread": spread})


# A recipe is everything that decides a run. The last word of the function's name is the size.
@recipe($name)
def tiny() -> Recipe:
    """For tests: milliseconds a step."""
    return Recipe(
        spec($name, encoder=spec(ConvNet, dim=32), width=32, dim=16),
        data=spec(digits),
        views=spec(simclr_views, strength=0.5, blur_prob=0.0, flip=False),
        optimizer=spec(adam, lr=1e-3),
        schedule=spec(cosine),
        batch=32,
        steps=10,
    )


@recipe($name)
def small() -> Recipe:
    """Minutes on two cores."""
    return Recipe(
        spec($name, encoder=spec(ConvNet, dim=128)),
        data=spec(digits),
        views=spec(simclr_views, strength=0.5, blur_prob=0.0, flip=False),
        optimizer=spec(adam, lr=1e-3),
        schedule=spec(cosine, warmup=0.05),
        batch=256,
        epochs=20,
    )


@recipe($name)
def paper() -> Recipe:
    """The setting that you publish, so that others can repeat it."""
    out = small()
    out.set("learner.encoder", "resnet18")
    out.batch, out.epochs = 512, 200
    return out
'''

TEST = '''"""The contract that every method keeps, and what is special about this one."""

from pathlib import Path

from likewise.core.registry import load_file
from likewise.testing.contract import report, run_checks

METHOD = load_file(f"{Path(__file__).with_name('$module.py')}:$name")


def test_contract():
    results = run_checks(METHOD)
    assert all(result.passed for result in results), report(METHOD, results)


def test_views_that_agree_cost_less():
    import torch

    from likewise.core.batch import Batch
    from likewise.core.comm import Collective

    learner = METHOD.recipe("tiny").learner.build(channels=1, image_size=16)
    rows = torch.nn.functional.normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    batch = Batch({"a": rows, "b": rows}, ids=torch.arange(8))
    same = learner.objective({"a": rows, "b": rows}, batch, Collective()).loss
    mixed = learner.objective({"a": rows, "b": rows.roll(1, 0)}, batch, Collective()).loss
    assert float(same) < float(mixed)
'''
