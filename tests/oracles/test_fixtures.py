"""Every equation with a fixture, value and gradient; ``--oracles DIR`` takes the fixtures from another folder."""

from pathlib import Path

from likewise import similarity
from likewise.testing.oracle import Adapter, cases


def test_equation(fixture, case, equation, path):
    with similarity.using(path, tile=3 if path == "tiled" else None):  # fixtures are small: several tiles all the same
        differences = equation.compare(case.fresh())
    assert not differences, "\n".join(differences)


def test_every_key_is_checked(fixture):
    adapter = Adapter.load(Path(__file__).parent / "adapters" / f"{fixture.stem}.py")
    forgotten = {case.name: keys for case in cases(fixture) if (keys := adapter.uncovered(case))}
    assert not forgotten
