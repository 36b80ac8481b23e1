"""``likewise new`` writes methods that work, and ``likewise check`` says whether one does."""

import ast
import importlib.util
import re
import subprocess
import sys

import pytest

from likewise.core import registry
from likewise.core.registry import load_file, read_source
from likewise.train.plan import prepare


@pytest.fixture
def forget(tmp_path):
    """Methods of the files that a test wrote are gone after it, as if its process had ended."""
    from likewise.core import recipe

    yield
    written = {name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))}
    for held, owner in ((registry._methods, lambda m: m.cls), (recipe._parts, lambda make: make)):
        for key in [k for k, v in held.items() if owner(v).__module__ in written]:
            del held[key]


def test_the_new_method_passes_every_check(cli, tmp_path, forget):
    result = cli("new", "my-method", "--out", "mine")
    assert (result.code, re.findall(r"^(?:done)? +(\S+)$", result.out, re.M)[:2]) == (
        0,
        ["mine/my_method.py", "mine/test_my_method.py"],
    )
    command = re.search(r"^next +likewise (check \S+)$", result.out, re.M)[1]
    checked = cli(*command.split())
    assert checked.code == 0, checked.out
    passed, ran = re.search(r"my-method: (\d+) of (\d+) checks passed", checked.out).groups()
    assert passed == ran
    assert int(ran) >= 20


def test_the_new_methods_own_equation_is_tested(cli, tmp_path, forget):
    cli("new", "other-method")
    spec = importlib.util.spec_from_file_location("test_other_method", tmp_path / "test_other_method.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.test_views_that_agree_cost_less()


def test_the_new_method_is_trained_from_its_file(cli, photos, forget):
    cli("new", "third-method")
    quick = ["--set", "steps=2", "--set", "batch=8", "--set", "probe_every=0", "--set", "data.image_size=16"]
    result = cli(
        "train", "third_method.py:ThirdMethod", "--data", photos, "--size", "tiny", "--quiet", "--json", *quick
    )
    assert (result.code, result.json["method"]) == (0, "third-method")
    # the run knows its file
    assert cli("evaluate", result.json["run"], "--what", "knn", "--json").json["metrics"]["knn"] >= 0


@pytest.mark.parametrize("like", sorted(registry.listings()))
def test_a_method_like_another_is_one_of_its_own(cli, tmp_path, like, forget):
    result = cli("new", "own-one", "--like", like, "--json")
    assert result.code == 0, result.err
    (listing,) = read_source(tmp_path / "own_one.py")
    assert (listing.card.slug, listing.card.claim, listing.card.oracle) == ("own-one", None, "")
    assert listing.knobs == registry.listing(like).knobs
    assert set(listing.sizes) == set(registry.listing(like).sizes)
    source = (tmp_path / "own_one.py").read_text()
    names = {n.id for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Name)}
    imported = {a.asname or a.name for n in ast.parse(source).body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert imported <= names
    made = load_file(f"{tmp_path / 'own_one.py'}:OwnOne")
    theirs = registry.load(like)
    assert made.card.kind == theirs.card.kind
    if made.card.kind != "learner":
        return
    learners = [prepare(method, size="tiny").learner() for method in (made, theirs)]
    shapes = [{k: v.shape for k, v in learner.state_dict().items()} for learner in learners]
    assert shapes[0] == shapes[1]


def test_check_names_what_is_broken_and_ends_with_1(cli, tmp_path, forget):
    cli("new", "bad-method")
    path = tmp_path / "bad_method.py"
    # identities are counted with, which no method may do
    path.write_text(path.read_text().replace("return Step(loss, ", "return Step(loss + batch.ids.float().mean(), "))
    result = cli("check", "bad_method.py:BadMethod", "--json")
    passed = {r["name"]: r["passed"] for r in result.json}
    assert (result.code, passed["ids-are-names"], passed["card-is-complete"]) == (1, False, True)


def test_the_generated_files_are_formatted(cli, tmp_path):
    cli("new", "my-method")
    cli("new", "own-one", "--like", "dclw")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "--line-length", "120", "."],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "No module named ruff" in done.stderr:
        pytest.skip("ruff is not installed (make check brings it)")
    assert done.returncode == 0, done.stdout
