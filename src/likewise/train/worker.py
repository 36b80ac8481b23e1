"""``python -m likewise.train.worker FOLDER``: run the plan of a folder in a process of its own.

Comparisons use it, so that one run's memory is not counted to the next.
"""

import subprocess
import sys
from pathlib import Path

from likewise.core.errors import InputError
from likewise.train.events import Diverged, Interrupted, Preempted, read_status
from likewise.train.plan import Plan
from likewise.train.run import finished, open_folder, train_folder


def train_isolated(plan: Plan, folder: Path, *, quiet: bool = True) -> None:
    """Train ``plan`` in ``folder`` in a process of its own, continuing what is there.

    Raises:
        InputError, Stopped, Diverged: as :func:`likewise.train.run.train`.
    """
    if finished(plan, folder):
        return
    open_folder(plan, folder, resume=True)
    command = [sys.executable, "-m", "likewise.train.worker", str(folder), *(["--quiet"] if quiet else [])]
    process = subprocess.Popen(command)
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            # the child got the same Ctrl-C: it saves first, and then says so
            continue
    if code == 0:
        return
    message = str(read_status(folder).get("message", "")) or f"the run in {folder} ended with exit code {code}"
    ways = {2: InputError, Diverged.exit_code: Diverged, 130: Interrupted, Preempted.exit_code: Preempted}
    raise ways.get(code, RuntimeError)(message)


def main() -> int:
    """Train the folder named on the command line; the exit code says how it ended."""
    try:
        train_folder(Path(sys.argv[1]), resume=True, quiet="--quiet" in sys.argv)
    except (InputError, Interrupted, Preempted, Diverged) as error:
        return int(getattr(error, "exit_code", 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
