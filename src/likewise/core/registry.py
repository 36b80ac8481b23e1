"""Which methods there are. Cards are read from the source text, so that listing them imports no framework."""

import ast
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from likewise.core.card import Card, Claim, Traits
from likewise.core.errors import InputError, near
from likewise.core.recipe import Recipe, Settings, part

C = TypeVar("C", bound=type)
R = TypeVar("R", bound=Callable[[], Settings])
ENTRY_POINTS = "likewise.methods"
"""Group of entry points by which an outside package names the modules of its methods."""


@dataclass(frozen=True)
class Listing:
    """A method as its source states it: the card, where it stands, and what it can be told."""

    card: Card
    module: str
    path: Path
    sizes: tuple[str, ...]
    knobs: tuple[tuple[str, str], ...]
    """``(name, default as written)`` of the class's settings."""


@dataclass
class Method:
    """A loaded method: its card, its class and its recipes by size (an agent's are courses)."""

    card: Card
    cls: type
    recipes: dict[str, Callable[[], Any]] = field(default_factory=dict)

    def recipe(self, size: str = "small") -> Recipe:
        """A fresh recipe of that size."""
        if size not in self.recipes:
            raise InputError(f"{self.card.slug} has no recipe of size {size!r}{near(size, self.recipes)}")
        out: Recipe = self.recipes[size]()
        return out


_methods: dict[str, Method] = {}


def register(card: Card) -> Callable[[C], C]:
    """Register the decorated class as the method of ``card``."""

    def add(cls: C) -> C:
        held = _methods.get(card.slug)
        if held and (held.cls.__module__, held.cls.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"two methods have the slug {card.slug!r}: {held.cls} and {cls}")
        _methods[card.slug] = Method(card, cls)
        cls.card = card  # type: ignore[attr-defined]
        part(card.kind, card.slug)(cls)
        return cls

    return add


def recipe(cls: type) -> Callable[[R], R]:
    """Register the decorated function as a recipe of ``cls``; the last word of its name is the size."""

    def add(function: R) -> R:
        size = function.__name__.rsplit("_", 1)[-1]
        _methods[cls.card.slug].recipes[size] = function  # type: ignore[attr-defined]
        return function

    return add


def listings() -> dict[str, Listing]:
    """Every method by slug, from the sources of this package and of those that announce themselves."""
    out: dict[str, Listing] = {}
    for module, path in _sources():
        for listing in read_source(path, module):
            held = out.setdefault(listing.card.slug, listing)
            if held.path != listing.path:
                raise ValueError(f"two methods have the slug {listing.card.slug!r}: {held.path} and {listing.path}")
    return dict(sorted(out.items()))


def listing(slug: str) -> Listing:
    """One method's listing, or an error with the nearest slugs."""
    found = listings()
    if slug not in found:
        raise InputError(f"unknown method {slug!r}{near(slug, found)} (likewise methods lists all)")
    return found[slug]


def load(slug: str) -> Method:
    """Import a method."""
    if slug not in _methods:
        importlib.import_module(listing(slug).module)
    return _methods[slug]


def load_all() -> dict[str, Method]:
    """Import every method."""
    return {slug: load(slug) for slug in listings()}


def load_file(reference: str) -> Method:
    """Import a method from outside: ``package.module:Class`` or ``path/to/file.py:Class``."""
    where, _, name = reference.partition(":")
    try:
        if where.endswith(".py"):
            found = importlib.util.spec_from_file_location(_module_name(Path(where)), where)
            if found is None or found.loader is None or not Path(where).is_file():
                raise InputError(f"no Python file at {where!r}")
            module = importlib.util.module_from_spec(found)
            sys.modules[found.name] = module
            found.loader.exec_module(module)
        else:
            sys.path.insert(0, "")
            module = importlib.import_module(where)
    except ModuleNotFoundError as error:
        raise InputError(f"no module {where!r}: {error}") from error
    except SyntaxError as error:
        raise InputError(f"{error.filename}:{error.lineno}: {error.msg}") from error
    methods = {m.cls.__name__: m for m in _methods.values() if m.cls.__module__ == module.__name__}
    if not name and len(methods) == 1:
        return next(iter(methods.values()))
    if name not in methods:
        raise InputError(f"{where} registers no method class {name!r}{near(name, methods)}")
    return methods[name]


def _module_name(path: Path) -> str:
    """The file's own name, unless another module has it (``random.py``), which must not be replaced."""
    held = sys.modules.get(path.stem)
    if held is not None:
        origin = getattr(held, "__file__", None)
    else:
        spec = importlib.util.find_spec(path.stem) if path.stem.isidentifier() else None
        origin = spec.origin if spec else str(path)
    return path.stem if origin and Path(origin).resolve() == path.resolve() else f"_file_{path.stem}"


def _sources() -> list[tuple[str, Path]]:
    root = Path(__file__).resolve().parents[1]
    own = [p for p in sorted((root / "methods").rglob("*.py")) if not p.name.startswith("_")]
    found = [(".".join(("likewise", *p.relative_to(root).with_suffix("").parts)), p) for p in own]
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        module = importlib.util.find_spec(entry.value)
        if module is not None and module.origin:
            found.append((entry.value, Path(module.origin)))
    return found


def read_source(path: Path, module: str = "") -> list[Listing]:
    """The listings in one source file, without running it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [n for n in tree.body if isinstance(n, ast.ClassDef)]
    inits = {c.name: _knobs(c) for c in classes}
    sizes: dict[str, list[str]] = {}
    for function in (n for n in tree.body if isinstance(n, ast.FunctionDef)):
        for call in _calls(function, "recipe"):
            sizes.setdefault(ast.unparse(call.args[0]), []).append(function.name.rsplit("_", 1)[-1])
    out = []
    for cls in classes:
        for call in _calls(cls, "register"):
            card = _literal(call.args[0], path)
            knobs = inits[cls.name] or next((inits.get(ast.unparse(b), ()) for b in cls.bases), ())
            out.append(Listing(card, module, path, tuple(sizes.get(cls.name, ())), knobs))
    return out


def _calls(node: ast.ClassDef | ast.FunctionDef, name: str) -> list[ast.Call]:
    return [d for d in node.decorator_list if isinstance(d, ast.Call) and getattr(d.func, "id", "") == name]


def _knobs(cls: ast.ClassDef) -> tuple[tuple[str, str], ...]:
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            a = node.args
            plain = [(p.arg, d) for p, d in zip(a.args[::-1], a.defaults[::-1])][::-1]
            keyword = [(p.arg, d) for p, d in zip(a.kwonlyargs, a.kw_defaults) if d is not None]
            return tuple((name, ast.unparse(d)) for name, d in [*plain, *keyword])
    return ()


def _literal(node: ast.expr, path: Path) -> Any:
    """Evaluate a card: literals, tuples, and calls of Card, Traits and Claim."""
    if isinstance(node, ast.Call):
        makers: dict[str, Any] = {"Card": Card, "Traits": Traits, "Claim": Claim}
        maker = makers.get(getattr(node.func, "id", ""))
        if maker is None or any(k.arg is None for k in node.keywords):
            raise ValueError(f"{path}:{node.lineno}: a card holds literals only, not {ast.unparse(node.func)}(...)")
        values = [_literal(a, path) for a in node.args]
        return maker(*values, **{str(k.arg): _literal(k.value, path) for k in node.keywords})
    if isinstance(node, ast.Tuple):
        return tuple(_literal(e, path) for e in node.elts)
    try:
        return ast.literal_eval(node)
    except ValueError:
        where = f"{path}:{node.lineno}"
        raise ValueError(f"{where}: a card holds literals only, not {ast.unparse(node)}") from None
