"""The Triton kernels on CPU tensors, in Triton's interpreter, against the whole matrix in float64.

`make test-triton` runs them in an environment that has triton.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from whole_matrix import leaves, pulled, unit

from likewise.similarity import (
    Columns,
    Different,
    Kernel,
    Listed,
    ListedBias,
    Own,
    Same,
    Self,
    Term,
    attend,
    backends,
    both_lse,
    cross_entropy,
    row_lse,
    sweep,
)
from likewise.similarity.backward import Needs
from likewise.similarity.forward import Trace
from likewise.similarity.tiles import Sweep

pytest.importorskip("triton", reason="triton is not installed: `make test-triton` runs these tests where it is")
if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("TRITON_INTERPRET=1 is not set: `make test-triton` sets it", allow_module_level=True)

from triton.runtime.errors import OutOfResources

from likewise.similarity.triton import KERNELS, launch
from likewise.similarity.triton import blocks as block_sizes
from likewise.similarity.triton.blocks import Blocks

# sums that leave the range of float32 are found and taken again; NumPy, which the interpreter runs on, says so
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")

FINE = {"rtol": 2e-5, "atol": 2e-5}


@pytest.fixture(autouse=True)
def launches(monkeypatch):
    """CPU tensors go to the Triton kernels; gives the names of those that were started."""
    monkeypatch.setitem(backends.BACKENDS, "cpu", KERNELS)
    seen = []
    for name in ("sums", "pull"):
        run = getattr(launch, name)
        monkeypatch.setattr(
            f"likewise.similarity.triton.sweeps.{name}",
            lambda *args, run=run, name=name, **kwargs: (seen.append(name), run(*args, **kwargs))[1],
        )
    return seen


@pytest.fixture
def precision():
    """Sets the precision of float32 products until the test ends."""
    before = torch.get_float32_matmul_precision()
    yield torch.set_float32_matmul_precision
    torch.set_float32_matmul_precision(before)


def compare(function, *tensors, rtol=2e-5, atol=2e-5):
    """Values and gradients of ``function(mode, *tensors)``: tiles in float32 against the whole matrix in float64."""
    mine, true = leaves(*tensors), leaves(*(x.double() for x in tensors))
    found, expected = function("tiled", *mine), function("dense", *true)
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == torch.float32
        assert_close(x.double(), y, rtol=rtol, atol=atol)
    for x, y in zip(pulled(found, mine), pulled(expected, true), strict=True):
        assert x.dtype == mine[0].dtype
        assert_close(x.double(), y, rtol=rtol * 20, atol=atol * 5 * float(1 + y.abs().max()))


def rows(n, d, seed=0):
    return unit(n, d, torch.float32, seed)


def rules(name, n, m, square):
    """Rules by name; on one set of rows those that are the same both ways."""
    g = torch.Generator().manual_seed(7)
    keys = torch.randint(0, 6, (n,), generator=g) + 2**40
    others = keys if square else torch.randint(0, 6, (m,), generator=g) + 2**40
    keep = torch.arange(n).roll(n // 2) if square else torch.randint(0, m, (n,), generator=g)
    return {
        "none": [],
        "self": [Self()],
        "own": [Own(keep)],
        "same": [Same(keys, others)],
        "keep": [Same(keys, others, keep=keep)],
        "different": [Different(keys, others)],
        "two": [Self(), Own(keep)],
    }[name]


NAMES = ["none", "self", "own", "same", "keep", "different", "two"]


@pytest.mark.parametrize("name", NAMES)
def test_one_set_of_rows(name, launches):
    drop = rules(name, 38, 38, True)

    def lse(mode, x, scale):
        return [row_lse(x, scale=scale, drop=drop, similarity=mode)]

    compare(lse, rows(38, 20), torch.tensor([9.0]))
    assert launches == ["sums", "pull"]  # both roles of a row in one sweep each


@pytest.mark.parametrize("name", NAMES)
def test_two_sets_of_rows(name, launches):
    drop = rules(name, 21, 35, False)

    def lse(mode, x, y, scale):
        return [row_lse(x, y, scale=scale, drop=drop, similarity=mode)]

    compare(lse, rows(21, 20), rows(35, 20, 1), torch.tensor([9.0]))
    assert launches == ["sums", "pull", "pull"]


@pytest.mark.parametrize("name", ["none", "keep", "different"])
def test_both_directions(name, launches):
    drop, bias = rules(name, 35, 21, False), [Columns(torch.linspace(-2, 2, 21))]

    def lse(mode, x, y, scale):
        return list(both_lse(x, y, scale=scale, drop=drop, bias=bias, similarity=mode))

    compare(lse, rows(35, 20), rows(21, 20, 1), torch.tensor([9.0]))
    assert launches == ["sums", "pull", "pull"]


@pytest.mark.parametrize("temperature", [0.005, 0.015, 0.05, 1.0])
@pytest.mark.parametrize("form", ["one set", "two sets", "both"])
def test_temperatures(temperature, form):
    x, y, scale = rows(35, 8), rows(35, 8, 1), torch.tensor([1 / temperature])
    y[:5] = x[:5]  # the largest logits that there can be

    def lse(mode, x, y, scale):
        if form == "one set":
            return [row_lse(x, scale=scale, drop=[Self()], similarity=mode)]
        if form == "two sets":
            return [row_lse(x, y, scale=scale, drop=[Self()], similarity=mode)]
        return list(both_lse(x, y, scale=scale, drop=[Self()], similarity=mode))

    compare(lse, x, y, scale, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 5), (40, 1, 5), (17, 33, 16), (32, 16, 33), (16, 48, 70)])
def test_sizes(shape):
    n, m, d = shape

    def lse(mode, x, y, scale):
        return list(both_lse(x, y, scale=scale, similarity=mode))

    compare(lse, rows(n, d), rows(m, d, 1), torch.tensor(4.0))


@pytest.mark.parametrize("n", [1, 16, 33])
def test_sizes_of_one_set(n):
    compare(lambda mode, x: [row_lse(x, scale=4.0, similarity=mode)], rows(n, 40))


def test_several_terms():
    x, keys = rows(35, 12), torch.arange(35) % 4

    def lse(mode, x, first, second):
        terms = [Term(first, [Self()]), Term(second, [Same(keys, keys)]), Term(0.0, [Same(keys, keys)])]
        return sweep(x, None, [*terms, Term(2.5)], similarity=mode)

    compare(lse, x, torch.tensor([9.0]), torch.tensor(-3.0))


def test_several_terms_of_two_sets():
    def lse(mode, x, y, first, second):
        return sweep(
            x, y, [Term(first, [Self()]), Term(second, [], [Columns(torch.arange(20.0) / 9)])], similarity=mode
        )

    compare(lse, rows(35, 12), rows(20, 12, 1), torch.tensor([9.0]), torch.tensor(120.0))


@pytest.mark.parametrize("scale", [5.0, 150.0])
@pytest.mark.parametrize("both", [False, True])
def test_rows_without_candidates(scale, both):
    x, y = rows(35, 8), rows(20, 8, 1)
    keys, others = torch.arange(35) // 30, torch.zeros(20, dtype=torch.int64)  # rows 0 to 29 lose every candidate

    def lse(mode, x, y):
        drop = [Same(keys, others)]
        if both:
            return list(both_lse(x, y, scale=scale, drop=drop, similarity=mode))
        return [row_lse(x, y, scale=scale, drop=drop, similarity=mode)]

    compare(lse, x, y, rtol=1e-4, atol=1e-4)
    mine = leaves(x, y)
    found = lse("tiled", *mine)
    assert (found[0][:30] == -torch.inf).all()
    assert (found[0][30:] > -torch.inf).all()
    d_rows, d_columns = pulled(found, mine)
    assert d_columns.isfinite().all()
    assert (d_rows[:30] == 0).all()


def test_long_rows_and_scale():
    """Lengths that differ a thousandfold, where no one shift suits all rows."""
    lengths = torch.logspace(-1, 2, 37)[:, None]
    compare(lambda mode, x: [row_lse(x, scale=2.0, drop=[Self()], similarity=mode)], rows(37, 8) * lengths, rtol=1e-4)


@pytest.mark.parametrize(("setting", "dtype"), [("medium", torch.bfloat16), ("high", torch.float32)])
def test_precision_of_float32_products(setting, dtype, precision, monkeypatch):
    precision(setting)
    seen = []

    def sums(left, *rest, operands, **settings):
        seen.append((left.dtype, operands.precision))
        return launch.sums(left, *rest, operands=operands, **settings)

    monkeypatch.setattr("likewise.similarity.triton.sweeps.sums", sums)
    scale = torch.tensor([9.0])

    def lse(mode, x, y, scale):
        return list(both_lse(x, y, scale=scale, similarity=mode))

    compare(lse, rows(20, 24), rows(35, 24, 1), scale, rtol=2e-3, atol=2e-2)
    assert seen == [(dtype, "tf32" if setting == "high" else "ieee")]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("form", ["one set", "positives", "both", "attend"])
def test_half_precision_rows(dtype, form, monkeypatch):
    """Products in the rows' own precision, which loses nothing: only gradients are rounded on the way."""
    n, target, seen = 35, torch.arange(35).roll(1), []

    def sums(left, *rest, **settings):
        seen.append(left.dtype)
        return launch.sums(left, *rest, **settings)

    monkeypatch.setattr("likewise.similarity.triton.sweeps.sums", sums)

    def outputs(mode, x, y):
        if form == "one set":
            return [row_lse(x, scale=9.0, drop=[Self()], similarity=mode)]
        if form == "positives":
            return [cross_entropy(x, y, target, scale=9.0, similarity=mode)]
        return list((both_lse if form == "both" else attend)(x, y, scale=9.0, similarity=mode))

    mine = leaves(rows(n, 24).to(dtype), rows(n, 24, 1).to(dtype))
    true = leaves(*(x.double() for x in mine))
    found, expected = outputs("tiled", *mine), outputs("dense", *true)
    assert seen == [dtype]
    for place, (x, y) in enumerate(zip(found, expected, strict=True)):
        assert x.dtype == torch.float32
        rounded = form == "attend" and place == 1 and dtype == torch.bfloat16
        assert_close(x.double(), y, rtol=1e-2 if rounded else 2e-5, atol=2e-3 if rounded else 2e-5)
    for x, y in zip(pulled(found, mine), pulled(expected, true), strict=True):
        assert x.dtype == dtype
        assert_close(x.double(), y, rtol=2e-2, atol=1e-2 * float(y.abs().max()))


@pytest.mark.parametrize("form", ["row", "both", "attend"])
def test_same_bits_twice(form):
    def once():
        x, y, scale = leaves(rows(50, 24), rows(37, 24, 1), torch.tensor([9.0]))
        if form == "row":
            found = [row_lse(x, scale=scale, drop=[Self()], similarity="tiled") + 0 * y.sum()]
        else:
            found = list((both_lse if form == "both" else attend)(x, y, scale=scale, similarity="tiled"))
        return [*found, *pulled(found, (x, y, scale))]

    for first, second in zip(once(), once(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("values", [None, 5, 40])
@pytest.mark.parametrize("scale", [6.0, 150.0])
def test_attend(values, scale, launches):
    n, m, d = 20, 35, 18
    keys, others = torch.arange(n) % 5, torch.arange(m) % 4  # anchors of key 4 keep every candidate
    drop, bias = [Same(keys, others)], [Columns(torch.linspace(-1, 1, m))]
    tensors = [rows(n, d), rows(m, d, 1), torch.tensor([scale])]
    if values:
        tensors.append(torch.randn(m, values, generator=torch.Generator().manual_seed(3)))

    def mean(mode, x, y, scale, values=None):
        return list(attend(x, y, values, scale=scale, drop=drop, bias=bias, similarity=mode))

    compare(mean, *tensors, rtol=1e-4, atol=1e-4)
    assert launches == ["sums", "pull", "pull", "pull", "pull"]


def test_attend_without_candidates():
    x, y = leaves(rows(18, 6), rows(20, 6, 1))
    keys, others = (torch.arange(18) > 0).long(), torch.zeros(20, dtype=torch.int64)
    found = attend(x, y, scale=5.0, drop=[Same(keys, others)], similarity="tiled")
    assert found[0][0] == -torch.inf
    assert (found[1][0] == 0).all()
    d_rows, d_columns = pulled(found, (x, y))
    assert (d_rows[0] == 0).all()
    assert d_columns.isfinite().all()


def test_constant_candidates():
    """A gradient of the anchors alone comes from the mean of the candidates."""
    bank = rows(35, 12, 1)
    compare(lambda mode, x: [row_lse(x, bank.to(x.dtype), scale=7.0, similarity=mode)], rows(20, 12))


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_block_of_more_candidates(symmetric):
    """Over processes the log-sum-exps that come back are over more candidates than the block at hand."""
    x, y = rows(35, 12), rows(35, 12, 1)
    y = x if symmetric else y
    terms = (Term(0.0, [Self()]), Term(0.0, []))
    here = Sweep(35, 35, symmetric, not symmetric, terms, 16)
    scales = [torch.tensor(8.0), 3.0]
    lses = ([torch.full((35,), 9.0), torch.full((35,), 7.0)], [torch.full((35,), 8.5), torch.full((35,), 7.5)])
    grads = ([torch.linspace(-1, 1, 35), None], [None, torch.linspace(2, 1, 35)])
    if symmetric:
        lses, grads = (lses[0], []), (grads[0], [])
    needs = Needs(True, True, (True, False))
    found = KERNELS.lse_backward(here, x, y, scales, lses, grads, Trace(), needs)
    expected = backends.EAGER.lse_backward(here, x, y, scales, lses, grads, Trace(), needs)
    assert (found[1] is None) == symmetric
    for mine, true in zip((*found[:2], *found[2]), (*expected[:2], *expected[2]), strict=True):
        assert (mine is None) == (true is None)
        if mine is not None:
            assert_close(mine, true, **FINE)


def other_rules(n):
    at = torch.arange(n)
    return {
        "listed": ([Listed(at, at)], []),
        "listed bias": ([], [ListedBias(at, at, torch.ones(n))]),
        "kernel": ([Self()], [Kernel(torch.ones(n, 1), torch.ones(n, 1), lambda a, b: a @ b.T)]),
    }


@pytest.mark.parametrize("name", other_rules(1))
def test_rules_that_the_kernels_lack(name, launches):
    drop, bias = other_rules(19)[name]
    if name == "kernel":
        bias = [replace(bias[0], function=lambda a, b: (a @ b.T).to(a.dtype))]

    def lse(mode, x, y):
        first = row_lse(x, y, scale=5.0, drop=drop, bias=bias, similarity=mode)
        return [first, *attend(x, y, scale=5.0, drop=drop, bias=bias, similarity=mode)]

    compare(lse, rows(19, 6), rows(19, 6, 1))
    assert launches == []


def test_float64_stays_float64(launches):
    x, y = unit(19, 6), unit(20, 6, seed=1)
    expected = row_lse(x, y, scale=5.0, similarity="dense")
    assert_close(row_lse(x, y, scale=5.0, similarity="tiled"), expected, rtol=1e-12, atol=1e-12)
    assert launches == []


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("blocks", [(1, 1, 1), (7, 7, 3), (10, 10, 4), (5, 5, 5)])
def test_each_tile_is_in_one_run(blocks, mirrored):
    tall, wide, parts = blocks
    table = launch.runs(tall, wide, mirrored, parts, torch.device("cpu")).tolist()
    tiles = [(i, j) for i, first, last, _ in table for j in range(first, last)]
    assert sorted(tiles) == [(i, j) for i in range(tall) for j in range(i if mirrored else 0, wide)]
    assert len({(i, part) for i, _, _, part in table}) == len(table)
    assert all(part < parts for *_, part in table)


@pytest.mark.parametrize(
    ("version", "capability", "eager"),
    [("3.9.0", (9, 0), False), ("3.4.1+git", (8, 0), False), ("3.2.0", (9, 0), True), ("3.9.0", (7, 5), True)],
)
def test_gpus_that_take_the_kernels(version, capability, eager, monkeypatch):
    monkeypatch.setattr("triton.__version__", version)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.delitem(backends.BACKENDS, "cuda", raising=False)
    gpu = torch.device("cuda")
    assert backends.is_eager(gpu) == eager
    assert backends.kernels(gpu) is (backends.EAGER if eager else KERNELS)
    monkeypatch.delitem(backends.BACKENDS, "cuda")


def fits_from(least, monkeypatch):
    """A stand-in for a kernel that needs blocks of at most ``least`` rows, and times that grow with the columns."""
    started = []

    def start(blocks):
        started.append(blocks.rows)
        if blocks.rows > least:
            raise OutOfResources(2, 1, "shared memory")
        return blocks

    monkeypatch.setattr(block_sizes, "_chosen", {})
    monkeypatch.setattr(block_sizes, "_milliseconds", lambda run: run().cols)
    return start, started


CHOICES = [Blocks(rows, cols, 16, 16, 4, 2) for rows, cols in ((128, 16), (64, 64), (32, 32), (16, 48))]


def test_small_sweeps_take_the_first_blocks_that_fit(monkeypatch):
    start, started = fits_from(64, monkeypatch)
    assert block_sizes.choose("key", CHOICES, start, pairs=100) == CHOICES[1]
    assert block_sizes.choose("key", CHOICES, start, pairs=100) == CHOICES[1]
    assert started == [128, 64, 64]


def test_large_sweeps_take_the_fastest_blocks(monkeypatch):
    start, _ = fits_from(64, monkeypatch)
    assert block_sizes.choose("key", CHOICES, start, pairs=block_sizes.LARGE) == CHOICES[2]


def test_repeatable_sweeps_are_not_timed(monkeypatch):
    start, _ = fits_from(64, monkeypatch)
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    assert block_sizes.choose("key", CHOICES, start, pairs=block_sizes.LARGE) == CHOICES[1]


def test_a_gpu_that_is_too_small(monkeypatch):
    start, _ = fits_from(8, monkeypatch)
    with pytest.raises(RuntimeError, match="no blocks of the similarity kernels fit on this GPU: out of resource"):
        block_sizes.choose("key", CHOICES, start, pairs=100)


@pytest.mark.parametrize("case", ["keys,128,medium,90,1024", "terms,200,high,80,1000", "both,1,highest,90,1"])
def test_kernels_compile_for_gpus(case):
    """The interpreter is lenient; the compiler needs no GPU."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    script = Path(__file__).parent / "compiled_kernels.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), "--ends", case],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {x["kernel"] for x in found} == {"sums_kernel", "pull_kernel"}
    for x in found:
        assert x["tensor"] > 0 or "highest" in case, f"no tensor cores: {x}"
        if x["last"]:
            assert x["shared"] <= 99 * 1024, f"the last choice must fit on every GPU: {x}"


def test_importing_the_reductions_imports_no_triton():
    code = "import sys, likewise.similarity; sys.exit('triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
