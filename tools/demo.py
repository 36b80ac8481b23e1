"""``make demo``: train SimCLR and DCL on real images, measure and compare them, write pages.

Everything it does is a command that you could type; it prints each one.

    python tools/demo.py [folder]
"""

import shlex
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from likewise.data.catalogue import present

LIKEWISE = Path(sysconfig.get_path("scripts")) / "likewise"
BUDGET = {
    "fashion-mnist": ["--set", "data.limit=10000", "--set", "data.test_limit=2000", "--epochs", "5"],
    "digits": ["--epochs", "30"],
}
"""Minutes on two cores."""


def say(text: str = "") -> None:
    """A line for people, in order with what the commands print."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def likewise(*arguments: str) -> None:
    """Run a command; the demo ends with it where it fails."""
    say(f"\n$ likewise {shlex.join(arguments)}")
    code = subprocess.run([str(LIKEWISE), *arguments], check=False).returncode
    if code:
        say(f"stopped: the command ended with {code}. make demo again goes on where it was.")
        sys.exit(abs(code))


def main() -> None:
    """Run the demo."""
    start, folder = time.monotonic(), sys.argv[1] if len(sys.argv) > 1 else "demo"
    source = "fashion-mnist" if present("fashion-mnist") else "digits"
    if source == "digits":
        say("Digits come with the install. For a harder set: likewise data get fashion-mnist, then make demo again.")
    budget = ["--data", source, *BUDGET[source]]
    runs = {method: f"{folder}/{source}/{method}-seed0" for method in ("simclr", "dcl")}
    for method, run in runs.items():
        likewise("train", method, *budget, "--out", run, "--resume")
    metrics = ("knn", "linear", "alignment", "uniformity", "effective_rank")
    for run in runs.values():
        likewise("evaluate", run, *(word for name in metrics for word in ("--what", name)))
    likewise("report", *runs.values())
    likewise("compare", *runs, *budget, "--seeds", "1", "--out", f"{folder}/{source}")
    pages = [*(f"{run}/report.html" for run in runs.values()), f"{folder}/{source}/comparison.html"]
    say(f"\nDone in {time.monotonic() - start:.0f} seconds. Open in a browser:")
    for page in pages:
        say(f"  {Path(page).resolve()}")
    say("\nTry next:")
    say(f"  {LIKEWISE} train dcl --data YOUR/PICTURES --out runs/mine")
    say(f"  {LIKEWISE} compare simclr dcl {shlex.join(budget)} --seeds 3 --out {folder}/{source}")
    say(f"  {LIKEWISE} methods")


if __name__ == "__main__":
    main()
