"""What benchmarks that compare with other packages share: environments for those packages, and the machine's facts."""

import os
import platform
import subprocess
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def peers_python(name: str) -> str | None:
    """The interpreter of ``.peers/NAME``, made from ``peers-NAME.txt`` if need be; None if it can't be made."""
    folder = HERE.parent / ".peers" / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    listed = HERE / f"peers-{name}.txt"
    wanted = listed.read_text(encoding="utf-8")
    stamp = folder / "made-from.txt"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return str(python)
    print(f"making the peers' environment in {folder} ...")
    torch_first = next(line for line in wanted.splitlines() if line.startswith("torch=="))
    install = [str(python), "-m", "pip", "install", "--quiet"]
    try:
        venv.create(folder, with_pip=True)
        subprocess.run([*install, torch_first], check=True)
        subprocess.run([*install, "-r", str(listed)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the peers' environment can't be made: {error}")
        return None
    stamp.write_text(wanted, encoding="utf-8")
    return str(python)


_keep: list[Any] = []


def shim() -> None:
    """Declare the two operators without which torchvision doesn't import beside a CPU build of torch."""
    import torch

    if torch.version.cuda is None and not _keep:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _keep.append(library)


def machine() -> dict[str, Any]:
    """Processor, cores, load before the run, system."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"cpu": name, "cores": os.cpu_count(), "load_before": load, "system": platform.platform()}
