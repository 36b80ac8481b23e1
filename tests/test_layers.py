"""Imports go downwards only: the table of docs/architecture.md, enforced on every import in the source."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "likewise"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted(SOURCE.rglob("*.py"))

# packages of the core install whose import takes long, or that only one verb needs
HEAVY = {"sklearn", "matplotlib", "rich"}
# what a dependency of ours is made of
WITHIN = {"jinja2": "markupsafe"}


@dataclass(frozen=True)
class Import:
    """One import: who, what, on which line, and whether it runs when the file is imported."""

    file: Path
    module: str
    line: int
    top: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def _imports(file: Path) -> list[Import]:
    found: list[Import] = []

    def visit(node: ast.AST, top: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
                visit(child, False)  # for the type checker alone; still has to go downwards
                continue
            if isinstance(child, ast.Import):
                found.extend(Import(file, a.name, child.lineno, top) for a in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{file}:{child.lineno}: relative import; write the full name"
                # `from likewise import x` may name a module: the full name tells
                found.extend(Import(file, f"{child.module}.{a.name}", child.lineno, top) for a in child.names)
            elif isinstance(child, ast.Call) and ast.unparse(child.func).split(".")[-1] in ("import_module", "require"):
                first = child.args[0] if child.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.append(Import(file, first.value, child.lineno, top))
            visit(child, top and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    visit(ast.parse(file.read_text(encoding="utf-8")), True)
    return found


IMPORTS = [i for f in FILES for i in _imports(f)]


def _layers() -> tuple[dict[str, int], set[tuple[str, str]]]:
    """Folder or file -> layer, and the pairs of one layer that may import each other, as the page says."""
    layers, sideways = {}, set()
    for number, names, text in re.findall(r"^\| (\d+) \| (.*?) \| (.*) \|$", PAGE, re.M):
        for name in re.findall(r"`(\w+)(?:/|\.py)`", names):
            layers[name] = int(number)
        sideways |= set(re.findall(r"`(\w+)` may import `(\w+)`", text))
    for alias, original in re.findall(r"`likewise\.(\w+)` re-exports `(\w+)/", PAGE):
        layers[alias] = layers[original]
        sideways.add((alias, original))
    return layers, sideways


LAYERS, SIDEWAYS = _layers()


def _unit(module: str) -> str:
    """The folder or file under likewise/ that a dotted name belongs to; "" for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else ""


def _own_unit(file: Path) -> str:
    first = file.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def test_the_page_has_the_table():
    assert LAYERS["core"] == 0
    assert LAYERS["methods"] < LAYERS["train"] < LAYERS["cli"]
    assert LAYERS["evaluate"] < LAYERS["methods"]  # a recipe names what its method is measured by
    assert ("comparison", "api") in SIDEWAYS


def test_every_folder_is_in_the_table():
    units = {_own_unit(f) for f in FILES} - {"__init__", "__main__"}
    assert units <= set(LAYERS), f"not in the table of docs/architecture.md: {sorted(units - set(LAYERS))}"


def test_imports_go_downwards():
    wrong = []
    for i in IMPORTS:
        if i.module.split(".")[0] != "likewise" or (i.file.parent == SOURCE and i.file.name.startswith("__")):
            continue
        mine, theirs = _own_unit(i.file), _unit(i.module)
        if theirs == "":
            if i.module != "likewise.__version__":
                wrong.append(f"{i}: the package's own names are for users")
        elif mine != theirs and LAYERS[theirs] >= LAYERS[mine] and (mine, theirs) not in SIDEWAYS:
            wrong.append(f"{i}: layer {LAYERS[mine]} on layer {LAYERS[theirs]}")
    assert not wrong, "\n".join(wrong)


def test_a_method_imports_no_method():
    wrong = [str(i) for i in IMPORTS if _own_unit(i.file) == "methods" and _unit(i.module) == "methods"]
    assert not wrong, "\n".join(wrong)


def test_few_files_talk_to_other_processes():
    sentence = re.search(r"Nothing but (.*?) imports `torch\.distributed`", PAGE, re.S)
    assert sentence, "the page no longer says who imports torch.distributed"
    allowed = {SOURCE / name for name in re.findall(r"`([\w/]+\.py)`", sentence[1])}
    wrong = [str(i) for i in IMPORTS if i.module.startswith("torch.distributed") and i.file not in allowed]
    assert not wrong, "\n".join(wrong)


def test_core_needs_torch_alone():
    outside = {
        str(i)
        for i in IMPORTS
        if _own_unit(i.file) == "core" and i.module.split(".")[0] not in sys.stdlib_module_names | {"likewise", "torch"}
    }
    assert not outside, "\n".join(sorted(outside))


def test_optional_and_heavy_packages_are_imported_where_they_are_used():
    core = {_import_name(d) for d in importlib.metadata.requires("likewise") if "extra ==" not in d}
    assert {"torch", "numpy", "sklearn"} <= core
    allowed = (sys.stdlib_module_names | core | {WITHIN[c] for c in core & set(WITHIN)} | {"likewise"}) - HEAVY
    wrong = []
    for i in IMPORTS:
        package = i.module.split(".")[0]
        own_subject = i.file == SOURCE / "sklearn.py" and package == "sklearn"  # its classes derive from scikit-learn's
        own_subject |= SOURCE / "similarity" / "triton" in i.file.parents and package == "triton"  # loaded when used
        if i.top and package not in allowed and not own_subject:
            wrong.append(f"{i} when the file is imported")
    assert not wrong, "\n".join(wrong)


def _import_name(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)[0].lower()
    return {"scikit-learn": "sklearn", "pillow": "PIL"}.get(name, name.replace("-", "_"))


@pytest.mark.parametrize(
    "statement",
    [
        "import likewise",
        "import likewise.core.card",
        "import likewise.core.recipe",
        "import likewise.core.registry",
        "from likewise.core import registry; registry.listings()",
        "from likewise.core import registry; registry.read_source(registry.Path(registry.__file__))",
    ],
)
def test_listing_methods_imports_no_framework(statement):
    heavy = ("torch", "numpy", "sklearn", "matplotlib")
    code = f"import sys; {statement}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stdout + done.stderr


SMELLS = {
    r"\.cuda\(": "a device by name: use .to(device)",
    r"torch\.load\((?!.*weights_only=True)": "torch.load that can run code",
    r"\bimport pickle\b|\bpickle\.|allow_pickle\s*=\s*True": "pickle",
    r"from __future__ import annotations": "annotations as strings, which the shape checks skip",
    r"except[^\n:]*:\s*(pass|\.\.\.)\s*$": "a swallowed exception",
    r"\b(TODO|FIXME|XXX)\b": "unfinished work",
}


@pytest.mark.parametrize("pattern", SMELLS, ids=SMELLS.values())
def test_source_is_free_of(pattern):
    hits = []
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        # words in a comment or a docstring are fine, code is not
        code = re.sub(r'("""|\'\'\').*?\1', lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
        code = re.sub(r"(^|\s)#(?! ?(TODO|FIXME|XXX)).*", "", code)
        hits += [
            f"{file.relative_to(ROOT)}:{code[: m.start()].count(chr(10)) + 1}" for m in re.finditer(pattern, code, re.M)
        ]
    assert not hits, ", ".join(hits)


def test_file_names_of_tests_are_unique():
    """Tests are imported by their file's name alone, also by the processes that some of them start."""
    files = [f for f in (ROOT / "tests").rglob("*.py") if f.name != "conftest.py"]
    names = [f.name for f in files]
    assert not sorted({n for n in names if names.count(n) > 1})


def test_methods_are_short_or_say_why():
    long = [f for f in (SOURCE / "methods").rglob("*.py") if len(f.read_text(encoding="utf-8").splitlines()) > 200]
    silent = [f.name for f in long if "long" not in str(ast.get_docstring(ast.parse(f.read_text(encoding="utf-8"))))]
    assert not silent, f"over 200 lines without a reason on top: {silent}"
