"""The adapters assume nothing about sizes, parameters or the number of cases: they run over another folder too."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import twins

from likewise.core.errors import InputError
from likewise.testing.oracle import Adapter, Case, Equation, cases, equation

HERE = Path(__file__).parent

DCL = [
    {"n": 2, "d": 1, "tau": 0.1, "sigma": 0.5, "seed": 0},
    {"n": 2, "d": 3, "tau": 0.02, "sigma": 0.1, "seed": 1},
    {"n": 7, "d": 2, "tau": 0.005, "sigma": 2.0, "seed": 2},
    {"n": 5, "d": 9, "tau": 3.0, "sigma": 0.3, "seed": 3, "same": True},
    {"n": 11, "d": 4, "tau": 0.3, "sigma": 0.5, "seed": 4},
]
BASELINES = [
    {"n": 2, "d": 1, "tau": 0.5, "seed": 0, "queue": 1},
    {"n": 3, "d": 2, "tau": 0.005, "seed": 1, "labels": [4, 4, 4], "hcl_beta": 0.3, "tau_plus": 0.0},
    {
        "n": 7, "d": 5, "tau": 0.07, "seed": 2, "labels": [0, 1, 0, 2, 0, 2, 9], "queue": 6,
        "clusters": [0, 3, 1, 1, 5, 2, 4, 0], "take": [1, 3, 2], "spare": 2, "hcl_beta": 2.0,
    },
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("fixtures")
    for name, settings in (("dcl", DCL), ("baselines", BASELINES)):
        inputs = [getattr(twins, f"{name}_inputs")(**s) for s in settings]
        twins.write(where / f"{name}.npz", [i | getattr(twins, f"{name}_numbers")(i) for i in inputs])
    return where


def run(folder):
    command = [sys.executable, "-m", "pytest", "tests/oracles", "--oracles", str(folder), "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def last_line(output):
    return output.strip().splitlines()[-1]


def test_another_folder_of_fixtures(folder, tmp_path):
    for file in folder.glob("*.npz"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    np.savez(tmp_path / "unheard-of.npz", case0_z=np.zeros(3))
    code, output = run(tmp_path)
    assert code == 0, output
    assert "fixtures without an adapter: unheard-of.npz" in output
    assert last_line(output) == "oracle files: 2 passed, 0 failed, 1 without adapter"


def test_a_folder_with_mistakes(folder, tmp_path):
    with np.load(folder / "dcl.npz") as held:
        arrays = dict(held)
    arrays["case3_dcl_grad_z2"][0, 0] += 1e-6
    np.savez(tmp_path / "dcl.npz", **arrays)
    (tmp_path / "baselines.npz").write_bytes((folder / "baselines.npz").read_bytes()[:5000])
    code, output = run(tmp_path)
    assert code == 1, output
    assert "dcl_grad_z2: 1 of 45 differ, first" in output
    assert "baselines.npz is no readable fixture" in output
    assert "fixtures that failed: baselines.npz, dcl.npz" in output
    assert last_line(output) == "oracle files: 0 passed, 2 failed, 0 without adapter"


def test_a_folder_that_nothing_is_known_about(tmp_path):
    np.savez(tmp_path / "unheard-of.npz", case0_z=np.zeros(3))
    code, output = run(tmp_path)
    assert code == 0, output
    assert last_line(output) == "oracle files: 0 passed, 0 failed, 1 without adapter"


def test_a_folder_without_fixtures(tmp_path):
    code, output = run(tmp_path)
    assert code == 4
    assert f"--oracles {tmp_path}: no .npz file there" in output


@pytest.mark.parametrize("name", ["dcl", "baselines"])
def test_the_loops_agree_with_the_authors_numbers(name):
    """Two independent sources of the same numbers."""
    for case in cases(HERE / f"{name}.npz"):
        given = {k: case.number(k) if case.array(k).ndim == 0 else case.tensor(k) for k in case.keys}
        found = getattr(twins, f"{name}_numbers")(given)
        assert len(found) > 8
        for key, value in found.items():
            np.testing.assert_allclose(np.asarray(value), case.array(key), rtol=1e-9, atol=1e-10, err_msg=key)


# --- what an adapter's mistakes look like -----------------------------------------------------------------------------


def one_case(**arrays):
    return Case("case0", {k: np.asarray(v) for k, v in arrays.items()})


def square(case):
    x = case.leaf("x")
    return case.answer("sq", (x**2).sum())


def test_values_and_gradients_are_compared():
    good = {"x": np.array([1.0, -2.0]), "sq_loss": 5.0, "sq_grad_x": np.array([2.0, -4.0])}
    one = Equation(square, ("sq_*",))
    assert one.compare(one_case(**good)) == []
    assert one.compare(one_case(**good | {"sq_loss": 5.00001})) == ["sq_loss: 1 of 1 differ, first 5, expected 5.00001"]
    assert one.compare(one_case(**good | {"sq_grad_x": [2.0, 4.0]})) == [
        "sq_grad_x: 1 of 2 differ, first -4 at (1,), expected 4"
    ]
    assert one.compare(one_case(**good | {"sq_grad_x": [[2.0, -4.0]]})) == ["sq_grad_x: shape (2,), expected (1, 2)"]
    assert one.compare(one_case(**good | {"sq_extra": 1.0})) == ["sq_extra: not answered"]
    assert one.compare(one_case(**good | {"sq_loss": np.nan})) == ["sq_loss: 1 of 1 differ, first 5, expected nan"]


def test_gradients_that_do_not_reach_a_leaf_are_zero():
    def unused(case):
        case.leaf("y")
        return square(case)

    held = {"x": [1.0], "y": [3.0, 4.0], "sq_loss": 1.0, "sq_grad_x": [2.0], "sq_grad_y": [0.0, 0.0]}
    assert Equation(unused, ("sq_*",)).compare(one_case(**held)) == []


def test_an_adapter_accounts_for_every_key(tmp_path):
    file = tmp_path / "square.py"
    file.write_text(
        "from likewise.testing.oracle import equation\n"
        "UNCHECKED = {'note*': 'a remark of the authors'}\n"
        "@equation('sq_*')\n"
        "def square(case):\n"
        "    return case.answer('sq', (case.leaf('x') ** 2).sum())\n"
    )
    adapter = Adapter.load(file)
    case = one_case(x=[1.0], sq_loss=1.0, note1="text", forgotten=3)
    assert adapter.uncovered(case) == ["forgotten"]
    assert [(c.name, e.name) for c, e in adapter.pairs([case, one_case(other=1)])] == [("case0", "square")]
    with pytest.raises(InputError, match="no adapter"):
        Adapter.load(tmp_path / "none")


def test_cases_come_in_order_with_their_types(tmp_path):
    arrays = {f"case{i}_x": np.float32(i) for i in (10, 2, 0)}
    np.savez(tmp_path / "f.npz", **arrays, rep0_ids=np.array([1, 2], np.int32), rep0_mode="hard", rep0_mask=[True])
    found = cases(tmp_path / "f.npz")
    assert [c.name for c in found] == ["case0", "case2", "case10", "rep0"]
    assert [c.kind for c in found] == ["case", "case", "case", "rep"]
    rep = found[-1]
    assert (rep.tensor("ids").dtype, rep.tensor("mask").dtype) == (torch.int64, torch.bool)
    assert rep.number("mode") == "hard"
    assert found[1].tensor("x").dtype == torch.float64
    with pytest.raises(KeyError, match="rep0 has no 'x'"):
        rep.tensor("x")
    with pytest.raises(TypeError, match="is no tensor"):
        rep.tensor("mode")


def test_files_that_are_no_fixtures(tmp_path):
    np.savez(tmp_path / "loose.npz", z=np.zeros(1))
    with pytest.raises(InputError, match="key 'z' belongs to no case"):
        cases(tmp_path / "loose.npz")
    np.savez(tmp_path / "empty.npz")
    with pytest.raises(InputError, match="holds no case"):
        cases(tmp_path / "empty.npz")
    np.savez(tmp_path / "objects.npz", case0_x=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="no readable fixture"):
        cases(tmp_path / "objects.npz")
    with pytest.raises(InputError, match="no readable fixture"):
        cases(tmp_path / "none.npz")


def test_decorated_functions_are_still_functions():
    @equation("a", rtol=1e-3)
    def plain(case):
        return {"a": 1.0}

    assert plain(one_case()) == {"a": 1.0}
    assert plain._equation.compare(one_case(a=1.0005)) == []
