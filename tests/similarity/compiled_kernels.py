"""Compiles the similarity kernels for GPUs, which needs no GPU: what the interpreter can't show.

    python tests/similarity/compiled_kernels.py [--ends] FORM,DIM,PRECISION,CAPABILITY,ROWS ...

such as ``both,128,medium,90,1024``; ``--ends`` takes the first and the last choice of blocks alone. One line of JSON
for each choice of blocks of each kernel that is started: shared memory and registers that it takes, bytes that the
compiler spilled, and how many tensor-core instructions there are.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from likewise.similarity import Columns, Own, Same, Self, Term, attend, backends, both_lse, row_lse, sweep
from likewise.similarity.triton import KERNELS, launch

POINTERS = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int64: "*i64", torch.int32: "*i32"}


def started(form, dim, precision, rows):
    """``(kernel, blocks, arguments, settings)`` for every choice of blocks of a forward and backward pass."""
    calls, current = [], []

    class Recorder:
        def __init__(self, kernel):
            self.kernel = kernel

        def __getitem__(self, grid):
            return lambda *args, **settings: calls.append((self.kernel, current[-1], args, settings))

    def choose(key, choices, start, *, pairs):
        for place, blocks in enumerate(choices):
            current.append((place, len(choices), blocks))
            found = start(blocks)
        return found

    def for_gpus(listed):
        return lambda *arguments: listed(*arguments[:-1], torch.device("cuda"))

    backends.BACKENDS["cpu"] = KERNELS
    before = dict(vars(launch))
    launch.sums_kernel, launch.pull_kernel = Recorder(launch.sums_kernel), Recorder(launch.pull_kernel)
    launch.sums_blocks, launch.pull_blocks = for_gpus(launch.sums_blocks), for_gpus(launch.pull_blocks)
    launch.choose, launch.num_programs = choose, lambda device: 132
    launch.Operands.on = lambda operands, device: operands.precision
    torch.set_float32_matmul_precision(precision)
    _pass(form, dim, rows)
    vars(launch).update(before)
    return calls


def _pass(form, dim, rows):
    x, y = (torch.nn.functional.normalize(torch.randn(rows, dim), dim=1).requires_grad_() for _ in range(2))
    keys, scale = torch.arange(rows), torch.tensor([10.0], requires_grad=True)
    if form == "one":
        out = [row_lse(x, scale=10.0, drop=[Self()], similarity="tiled")]
    elif form == "keys":
        drop = [Same(keys, keys, keep=keys.roll(1)), Own(keys.roll(2))]
        out = [row_lse(x, y, scale=scale, drop=drop, bias=[Columns(torch.zeros(rows))], similarity="tiled")]
    elif form == "both":
        out = list(both_lse(x, y, scale=scale, similarity="tiled"))
    elif form == "far":  # nothing is computed, so no sum is in reach and the running maxima are taken
        out = list(both_lse(x, y, scale=200.0, similarity="tiled"))
    elif form == "terms":
        out = sweep(x, None, [Term(scale, [Self()]), Term(2.0, [Self()])], similarity="tiled")
    else:
        out = list(attend(x, y, scale=scale, similarity="tiled"))
    torch.autograd.backward(out, [torch.ones_like(o) for o in out])


def compiled(kernel, blocks, args, settings, capability):
    """Facts of one kernel compiled for a GPU."""
    constants = dict(settings)
    options = {name: constants.pop(name) for name in ("num_warps", "num_stages", "enable_fp_fusion")}
    types, aligned = dict.fromkeys(constants, "constexpr"), {}
    for place, (name, value) in enumerate(zip(kernel.arg_names, args)):
        is_tensor = isinstance(value, torch.Tensor)
        types[name] = POINTERS[value.dtype] if is_tensor else "fp32" if isinstance(value, float) else "i32"
        if not is_tensor and value == 1:  # as a launch does
            types[name], constants[name] = "constexpr", 1
        elif is_tensor or (isinstance(value, int) and value % 16 == 0):
            aligned[(place,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, {name: types[name] for name in kernel.arg_names}, constants, aligned)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
        usage = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", usage).groups()
    instruction = "wgmma.mma_async" if capability >= 90 else "mma.sync"
    return {
        "kernel": kernel.__name__,
        "capability": capability,
        "choice": blocks[0],
        "last": blocks[0] + 1 == blocks[1],
        "blocks": vars(blocks[2]),
        "shared": made.metadata.shared,
        "registers": int(registers),
        "spilled": int(stack),
        "tensor": made.asm["ptx"].count(instruction),
    }


def main():
    ends = "--ends" in sys.argv
    for case in (x for x in sys.argv[1:] if x != "--ends"):
        form, dim, precision, capability, rows = case.split(",")
        seen = set()
        for kernel, blocks, args, settings in started(form, int(dim), precision, int(rows)):
            key = (kernel.__name__, str(sorted(settings.items(), key=str)))
            if key not in seen and not (ends and 0 < blocks[0] < blocks[1] - 1):
                seen.add(key)
                facts = compiled(kernel, blocks, args, settings, int(capability))
                sys.stdout.write(json.dumps({"case": case, **facts}) + "\n")


if __name__ == "__main__":
    main()
