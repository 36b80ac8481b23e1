"""Install torch into the running environment without several gigabytes of CUDA where there is no NVIDIA GPU.

On Linux the default package index may serve torch as a CUDA build. This script asks pip what it would install; if that
is a CUDA build and the machine has no NVIDIA GPU, it takes the same version from PyTorch's own index of CPU builds.

    python tools/install_torch.py [requirement]
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
TESTED = "torch==2.13.0"
"""The version that the tests ran with; without a GPU the choice is ours to make, so it is this one."""


def has_gpu() -> bool:
    """Whether an NVIDIA GPU answers."""
    smi = shutil.which("nvidia-smi")
    return smi is not None and subprocess.run([smi, "-L"], capture_output=True, check=False).returncode == 0


def is_cuda_build(metadata: Mapping[str, Any], platform: str) -> bool:
    """Whether a wheel with this metadata (as pip reports it) brings CUDA packages on this platform."""
    needs = [str(r).lower() for r in metadata.get("requires_dist", [])]
    unconditional = [r for r in needs if "extra ==" not in r]
    return platform.startswith("linux") and any(r.startswith(("nvidia-", "cuda-")) for r in unconditional)


def offered(requirement: str) -> Mapping[str, Any]:
    """Metadata of the torch wheel that pip would install, or nothing where it can't tell."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--quiet"]
    run = subprocess.run([*command, "--report", "-", requirement], capture_output=True, text=True, check=False)
    if run.returncode:
        return {}
    found = json.loads(run.stdout)["install"]
    return found[0]["metadata"] if found else {}


def command(requirement: str | None, gpu: bool, metadata: Mapping[str, Any], platform: str) -> Sequence[str]:
    """What pip is told."""
    wanted = requirement or ("torch>=2.6" if gpu else TESTED)
    index = ["--index-url", CPU_INDEX] if not gpu and is_cuda_build(metadata, platform) else []
    return ["install", *index, wanted]


def main() -> int:
    """Install, and return pip's exit status."""
    requirement = sys.argv[1] if len(sys.argv) > 1 else None
    gpu = has_gpu()
    metadata = {} if gpu else offered(requirement or TESTED)
    arguments = command(requirement, gpu, metadata, sys.platform)
    sys.stderr.write("torch: NVIDIA GPU found, CUDA build\n" if gpu else "torch: no NVIDIA GPU, CPU build\n")
    return subprocess.run([sys.executable, "-m", "pip", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
