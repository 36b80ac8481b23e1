"""What a run writes while it goes: events as JSON lines, a heartbeat, and the ways in which it can end."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HEARTBEAT = 2.0
"""Seconds between writes of ``status.json``."""


class Stopped(Exception):  # noqa: N818 - not an error: the run is saved and can go on
    """The run was asked to stop and has saved itself."""

    state = "interrupted"
    exit_code = 130


class Interrupted(Stopped):
    """Ctrl-C."""


class Preempted(Stopped):
    """SIGTERM or SIGUSR1: the machine is wanted for something else; the same command continues the run."""

    exit_code = 75


class Diverged(RuntimeError):  # noqa: N818
    """The loss is NaN or infinite."""

    exit_code = 3


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write through a temporary name, so that no reader and no crash ever sees half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=True) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in ``path``, or None when it is missing or not a JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


class EventLog:
    """``events.jsonl``: one JSON object a line, flushed at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **fields: Any) -> None:
        """Append an event; the time is added."""
        line = json.dumps({"event": event, "time": round(time.time(), 3), **fields})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def cut(self, step: int) -> None:
        """Forget what was logged after ``step``: the run goes on from there."""
        kept = [e for e in read_events(self.path) if e.get("step", 0) <= step and e["event"] != "end"]
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(e) + "\n" for e in kept), encoding="utf-8")
        os.replace(temporary, self.path)


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a run; a last line that a crash cut short is left out."""
    return list(_lines(path)) if path.is_file() else []


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and "event" in value:
            yield value


class Heartbeat:
    """Keeps ``status.json`` fresh from a thread of its own while a run lives."""

    def __init__(self, path: Path, **fields: Any) -> None:
        self.path, self.fields = path, fields
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Heartbeat":
        self.write("running")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def update(self, **fields: Any) -> None:
        """Change what the next beat says."""
        self.fields = {**self.fields, **fields}

    def end(self, state: str, message: str = "") -> None:
        """Stop beating and leave the final state."""
        self._stop.set()
        self._thread.join()
        self.write(state, message=message)

    def write(self, state: str, **fields: Any) -> None:
        """Write the status now."""
        here = {"pid": os.getpid(), "host": socket.gethostname(), "time": time.time()}
        write_json(self.path, {"state": state, **here, **self.fields, **fields})

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            try:
                self.write("running")
            except OSError:
                # a full disk must not kill the run from a thread; saving a checkpoint reports it
                continue


def read_status(folder: Path) -> dict[str, Any]:
    """A run's status; one that says ``running`` without a heartbeat is reported as ``interrupted``."""
    status = read_json(folder / "status.json") or {"state": "unknown"}
    if status.get("state") == "running" and not _alive(status):
        status["state"] = "interrupted"
        status["message"] = "no heartbeat: the process was killed or the machine went down"
    return status


def _alive(status: Mapping[str, Any]) -> bool:
    if time.time() - float(status.get("time", 0)) > 30 * HEARTBEAT:
        return False
    if status.get("host") != socket.gethostname():
        return True
    try:
        os.kill(int(status["pid"]), 0)
    except (ProcessLookupError, KeyError, ValueError):
        return False
    except PermissionError:
        return True
    return True
