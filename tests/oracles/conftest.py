"""Parametrises the tests of this folder over fixture files, cases, equations and paths of the reductions."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
PATHS = ("dense", "tiled")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fixture" not in metafunc.fixturenames:
        return
    folder = metafunc.config.getoption("--oracles") or HERE
    files = [f for f in sorted(Path(folder).glob("*.npz")) if (HERE / "adapters" / f"{f.stem}.py").is_file()]
    if "equation" not in metafunc.fixturenames:
        metafunc.parametrize("fixture", files, ids=[f.stem for f in files])
        return
    from likewise.core.errors import InputError
    from likewise.testing.oracle import Adapter, cases

    rows, ids = [], []
    for file in files:
        adapter = Adapter.load(HERE / "adapters" / f"{file.stem}.py")
        try:
            pairs = adapter.pairs(cases(file))
        except InputError:
            continue  # test_every_key_is_checked reads the file again, and fails with the reason
        for case, equation in pairs:
            for path in PATHS:
                rows.append((file, case, equation, path))
                ids.append(f"{file.stem}-{case.name}-{equation.name}-{path}")
    metafunc.parametrize(("fixture", "case", "equation", "path"), rows, ids=ids)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With a folder of somebody's own, only the fixtures in it are of interest, not the tests of the adapters."""
    return True if config.getoption("--oracles") and collection_path.name == "test_other_fixtures.py" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixture = getattr(item, "callspec", None) and item.callspec.params.get("fixture")
        if isinstance(fixture, Path):
            item.user_properties.append(("oracle_file", fixture.name))  # for the last line of the run
