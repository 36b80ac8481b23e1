"""The verbs that must answer at once import nothing heavy. Counted in modules: seconds depend on the machine."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "sklearn", "scipy", "matplotlib", "PIL", "pandas", "faiss", "lightning_fabric", "jinja2")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["methods"], ["methods", "--json"], ["show", "dcl"], ["data"], ["runs", "."], ["train", "--help"]],
    ids=" ".join,
)
def test_no_framework_is_imported(arguments, tmp_path):
    code = (
        "import sys; from likewise.cli import main; code = main(sys.argv[1:]); "
        f"sys.stderr.write(repr((code, [m for m in {HEAVY} if m in sys.modules])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stderr.splitlines()[-1].endswith("(0, [])"), done.stderr


def test_a_verb_does_not_import_the_others():
    code = (
        "import sys; from likewise.cli import main; main(['methods', '--json']); "
        "sys.stderr.write(' '.join(m for m in sys.modules if m.startswith('likewise.cli.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"likewise.cli.train", "likewise.cli.embed"} & set(done.stderr.split())
