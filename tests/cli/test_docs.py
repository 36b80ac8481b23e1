"""What the documentation says is so: tables from the cards, commands that parse, names that can be imported."""

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from likewise.cli.app import VERBS, build
from likewise.core import registry

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands():
    """Every complete command line in the pages and in the verbs' own examples."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"```(?:console|bash|text)?\n(.*?)```", text, re.S)
        for found in re.findall(r"^(?:\$ |srun )?(likewise [^\n|]+)", "\n".join(blocks), re.M):
            yield pytest.param(found, id=f"{page.stem}: {found[:50]}")
        for found in re.findall(r"`(likewise [^`]+)`", text):
            yield pytest.param(found, id=f"{page.stem}: {found[:50]}")
    for verb in VERBS:
        text = (ROOT / "src/likewise/cli" / f"{verb}.py").read_text(encoding="utf-8")
        for found in re.findall(r"^      (likewise [^\n|]+)", text, re.M):
            yield pytest.param(found, id=f"{verb} --help: {found[:50]}")


@pytest.mark.parametrize("line", list(commands()))
def test_command_lines_in_the_documentation_parse(line):
    words = shlex.split(re.sub(r"\s+\|\|.*", "", line), comments=True)[1:]
    words = [w for w in words if w != "..."]
    if not words or words == ["data"]:
        return
    command = typer.main.get_command(build(words[0]))
    assert words[0] in command.commands, f"no verb {words[0]!r}"
    verb = command.commands[words[0]]
    if words[0] == "data":
        verb, words = verb.commands[words[1]], words[1:]
    placeholders = any(w.isupper() for w in words[1:]) or len(words) == 1
    if not placeholders or "--help" not in words:
        # options, their types, and how many arguments there are; a verb that is only named has none
        verb.make_context(words[0], words[1:], resilient_parsing=len(words) == 1)


def test_readme_has_the_table_of_the_cards():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tool("build_docs").readme(text) == text, "python tools/build_docs.py --readme"


def test_the_sites_sources_are_whole(tmp_path):
    docs = tool("build_docs")
    docs.build(tmp_path / "site")
    pages = {p.relative_to(tmp_path / "site").as_posix() for p in (tmp_path / "site").rglob("*.md")}
    assert {f"methods/{slug}.md" for slug in registry.listings()} <= pages
    assert {"index.md", "commands.md", "changelog.md", "architecture.md"} <= pages
    for page in sorted(pages):
        text = (tmp_path / "site" / page).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(((?!https?:)[^)#\s]+)", text):
            assert (tmp_path / "site" / page).parent.joinpath(link).is_file(), f"{page} links to {link}"
    assert "<svg" in (tmp_path / "site" / "methods" / "dcl.md").read_text(encoding="utf-8")
    reference = (tmp_path / "site" / "commands.md").read_text(encoding="utf-8")
    assert all(f"## {verb}\n" in reference for verb in VERBS)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_of_a_page_lead_somewhere(page):
    for link in re.findall(r"\]\(((?!https?:)[^)#\s]+)", page.read_text(encoding="utf-8")):
        made_by_the_site = link.startswith("methods/") or link == "commands.md"
        assert made_by_the_site or page.parent.joinpath(link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_python_in_a_page_is_python_and_its_names_exist(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        tree = ast.parse(block.replace(", ...)", ")"))  # "and so on" is no Python
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("likewise"):
                module = importlib.import_module(node.module)
                for name in node.names:
                    assert hasattr(module, name.name), f"{node.module} has no {name.name}"


def test_methods_that_are_recommended_exist():
    text = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    table = text.split("## Is it learning?")[0]
    named = set(re.findall(r"\| `([a-z0-9-]+)`|, `([a-z0-9-]+)`", table))
    assert {a or b for a, b in named} <= set(registry.listings())


def test_changelog_names_the_version():
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text or f"## [{version}]" in text


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed (apt-get install make)")
def test_make_knows_its_targets():
    listed = subprocess.run(["make", "-C", ROOT, "--no-print-directory"], capture_output=True, text=True, check=True)
    targets = re.findall(r"^  make (\w+) +\S", listed.stdout, re.M)
    assert {"demo", "test", "check", "docs", "bench", "claims", "clean"} <= set(targets)
    subprocess.run(["make", "-C", ROOT, "-n", *targets], capture_output=True, check=True)


@pytest.mark.parametrize(
    ("gpu", "needs", "platform", "index"),
    [
        (False, ["nvidia-cublas-cu12==12.8; platform_system == 'Linux'", "numpy"], "linux", True),
        (False, ["cuda-toolkit[cudart]==13; platform_system == 'Linux'"], "linux", True),
        (False, ["numpy", "nvidia-something; extra == 'gpu'"], "linux", False),
        (False, ["nvidia-cublas-cu12==12.8; platform_system == 'Linux'"], "darwin", False),
        (True, ["nvidia-cublas-cu12==12.8"], "linux", False),
    ],
)
def test_torch_comes_without_cuda_where_there_is_no_gpu(gpu, needs, platform, index):
    install = tool("install_torch")
    arguments = install.command(None, gpu, {"requires_dist": needs}, platform)
    assert ("--index-url" in arguments) is index
    assert arguments[-1] == ("torch>=2.6" if gpu else install.TESTED)
    assert install.command("torch==2.6.0", gpu, {}, platform)[-1] == "torch==2.6.0"
