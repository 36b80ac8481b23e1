"""What every test has: one thread, fixed seeds, a cache of its own, and shapes of equations checked."""

import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# a busy machine is no failure
hypothesis.settings.register_profile("likewise", deadline=None)
hypothesis.settings.load_profile("likewise")

# before torch is imported: each pytest worker and each process that a test starts uses one core
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

FIXTURES = Path(__file__).parent / "oracles"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("likewise")
    group.addoption("--oracles", type=Path, default=None, metavar="DIR", help="folder of fixtures for tests/oracles")
    group.addoption("--update-count", action="store_true", help="write the number of contract checks to its file")


def pytest_configure(config: pytest.Config) -> None:
    folder = config.getoption("--oracles")
    if folder is not None and not any(Path(folder).glob("*.npz")):
        raise pytest.UsageError(f"--oracles {folder}: no .npz file there")
    if "LIKEWISE_CACHE" not in os.environ:
        config.stash[CACHE] = tempfile.TemporaryDirectory(prefix="likewise-cache-")
        os.environ["LIKEWISE_CACHE"] = config.stash[CACHE].name


CACHE = pytest.StashKey[tempfile.TemporaryDirectory]()


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
    if "likewise.functional" in sys.modules:
        sys.modules["likewise.functional"].check_shapes(True)


@pytest.fixture(scope="session")
def pool() -> Iterator["object"]:
    """Real processes over gloo, started when the first test asks for them."""
    from likewise.testing.pool import Pool

    with Pool(preload=("likewise.testing.checks.processes", "sklearn.datasets")) as started:
        yield started


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line of a run that looked at fixtures: how many files passed, failed, and have no adapter."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    files = {} if reporter is None or hasattr(config, "workerinput") else _files(reporter)
    if files or (reporter is not None and config.getoption("--oracles")):
        folder = config.getoption("--oracles") or FIXTURES
        adapters = {p.stem for p in (FIXTURES / "adapters").glob("*.py")}
        without = sorted(p.name for p in Path(folder).glob("*.npz") if p.stem not in adapters)
        failed = sorted(name for name, passed in files.items() if not passed)
        if failed:
            reporter.write_line(f"fixtures that failed: {', '.join(failed)}")
        if without:
            reporter.write_line(f"fixtures without an adapter: {', '.join(without)}")
        counts = f"{len(files) - len(failed)} passed, {len(failed)} failed, {len(without)} without adapter"
        reporter.write_line(f"oracle files: {counts}")
    if CACHE in config.stash:
        config.stash[CACHE].cleanup()


def _files(reporter: object) -> dict[str, bool]:
    """Fixture file -> whether all its tests passed, from the reports (they also come from xdist's workers)."""
    files: dict[str, bool] = {}
    for outcome, reports in reporter.stats.items():
        for report in reports:
            for key, name in getattr(report, "user_properties", ()):
                if key == "oracle_file":
                    files[name] = files.get(name, True) and outcome not in ("failed", "error")
    return files
