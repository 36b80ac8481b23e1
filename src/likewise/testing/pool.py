"""Real processes that talk over gloo, started once and used by many tests.

A mocked collective tests the mock. Here ``pool.run(function, *args, world=2)`` calls ``function(comm, *args)`` in
every process with the real :class:`~likewise.core.comm.Distributed` verbs and returns the results by rank.
"""

import importlib
import io
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

GRACE = 2.0
"""Seconds that the other ranks get to answer after one has failed, before they are ended."""


class RankError(RuntimeError):
    """A function raised in one of the processes; the message ends with that process's traceback."""


class Pool:
    """A few processes that wait for functions to run together.

    They start with the first :meth:`run` and end with :meth:`close`, with the ``with`` block, or with the process that
    owns them. After a failure or a timeout that leaves a rank busy, all are ended and the next run starts new ones.

    Args:
        size: how many processes; a run may use fewer.
        timeout: seconds that a run may take.
        preload: modules that the processes share from the start (where processes are forked from a server).
    """

    def __init__(self, size: int = 3, timeout: float = 60.0, preload: Sequence[str] = ()) -> None:
        if size < 1:
            raise ValueError(f"Pool: size must be at least 1, got {size}")
        self.size, self.timeout, self.preload = size, timeout, preload
        self._workers: list[tuple[BaseProcess, Connection]] = []

    def run(self, function: Callable[..., Any], *args: Any, world: int = 2, timeout: float | None = None) -> list[Any]:
        """Call ``function(comm, *args)`` in ``world`` processes at once.

        Args:
            function: defined at the top level of a module that can be imported.
            args: tensors, numbers, strings, None, and tuples, lists or dicts of them; results likewise.
            world: how many ranks.
            timeout: seconds; the pool's own by default.

        Returns:
            The results, by rank.

        Raises:
            RankError: a rank raised; carries its traceback.
            TimeoutError: some rank had not answered in time.
        """
        if not 1 <= world <= self.size:
            raise ValueError(f"Pool: world must be 1 .. {self.size}, got {world}")
        if "<" in function.__qualname__ or function.__module__ == "__main__":
            raise ValueError(
                f"Pool: {function.__qualname__} must stand at the top level of a module that can be imported"
            )
        workers = self._start()[:world]
        seconds = self.timeout if timeout is None else timeout
        source = str(getattr(sys.modules[function.__module__], "__file__", ""))
        with tempfile.TemporaryDirectory(prefix="likewise-pool-") as folder:
            meeting = str(Path(folder) / "store")
            for rank, (_, pipe) in enumerate(workers):
                names = (function.__module__, function.__qualname__, source)
                pipe.send_bytes(_pack((names, list(sys.path), meeting, rank, world, seconds, args)))
            return self._collect([pipe for _, pipe in workers], seconds)

    def _collect(self, pipes: Sequence[Connection], seconds: float) -> list[Any]:
        results: dict[int, Any] = {}
        failures: dict[int, tuple[float, str]] = {}  # rank -> when and how
        deadline = time.monotonic() + seconds
        dead = False
        while missing := [r for r in range(len(pipes)) if r not in results and r not in failures]:
            ready = wait([pipes[r] for r in missing], max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            for rank in missing:
                if pipes[rank] not in ready:
                    continue
                try:
                    passed, answer = _unpack(pipes[rank].recv_bytes())
                except (EOFError, ConnectionError):
                    dead, passed = True, False
                    answer = (0.0, "the process ended without an answer (killed, or out of memory?)")
                if passed:
                    results[rank] = answer
                else:
                    failures[rank] = answer
                    deadline = min(deadline, time.monotonic() + GRACE)
        if missing or dead:
            self.close()
        if failures:
            # the others then fail for want of a partner: the first failure is the cause
            rank = min(failures, key=lambda r: failures[r][0])
            raise RankError(f"rank {rank} of {len(pipes)} failed:\n{failures[rank][1]}")
        if missing:
            names = ", ".join(map(str, missing))
            raise TimeoutError(f"no answer from rank {names} of {len(pipes)} within {seconds:g} s")
        return [results[r] for r in range(len(pipes))]

    def _start(self) -> list[tuple[BaseProcess, Connection]]:
        if all(process.is_alive() for process, _ in self._workers) and self._workers:
            return self._workers
        self.close()
        # a fork server imports torch once for all of them; a plain fork would copy the threads of this process badly
        servers = "forkserver" in multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("forkserver" if servers else "spawn")
        if servers:
            context.set_forkserver_preload([__name__, *self.preload])
        for _ in range(self.size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()  # so that the end of the process is seen on our side of the pipe
            self._workers.append((process, ours))
        return self._workers

    def close(self) -> None:
        """End the processes and wait until they are gone."""
        for process, pipe in self._workers:
            pipe.close()
            process.terminate()
        for process, _ in self._workers:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        self._workers = []

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _pack(value: Any) -> bytes:
    _check_plain(value)
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _check_plain(value: Any) -> None:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        for item in value:
            _check_plain(item)
    elif not isinstance(value, Tensor | str | int | float | None):
        raise TypeError(f"only tensors, numbers, strings and lists of them travel between processes, not {value!r}")


def _unpack(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), weights_only=True)


def _find(module: str, name: str, source: str) -> Callable[..., Any]:
    # a name may mean another file here than it did there: tests of two folders can have the same file name
    held = sys.modules.get(module)
    if held is not None and str(getattr(held, "__file__", "")) != source:
        del sys.modules[module]
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def _serve(pipe: Connection) -> None:
    """A worker's life: take a function, run it in a process group of its own, answer, until the owner is gone."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform.startswith("linux") else "lo0")
    torch.set_num_threads(1)
    while True:
        try:
            job = pipe.recv_bytes()
        except (EOFError, ConnectionError):
            return
        answer = _run(*_unpack(job))
        with suppress(ConnectionError):
            pipe.send_bytes(answer)


_PATIENCE = (0.1, 0.25, 0.5)
"""Shares of a run's time that ranks wait for each other: longer each time, as one that lost its connection at once
waits for those that are still at the meeting before."""


def _run(
    names: tuple[str, str, str],
    path: list[str],
    meeting: str,
    rank: int,
    world: int,
    seconds: float,
    args: tuple[Any, ...],
) -> bytes:
    """The packed ``(True, result)``, or ``(False, (when, traceback))``."""
    import torch.distributed as dist

    from likewise.core.comm import Distributed

    sys.path[:] = path
    try:
        function = _find(*names)
        for attempt, share in enumerate(_PATIENCE):
            # on a busy machine gloo sometimes loses a connection while the ranks meet; all of them then meet anew
            store = dist.FileStore(f"{meeting}-{attempt}", world)  # type: ignore[attr-defined]
            patience = timedelta(seconds=seconds * share)
            try:
                dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=patience)
                break
            except RuntimeError:
                if share == _PATIENCE[-1]:
                    raise
        torch.manual_seed(0)
        return _pack((True, function(Distributed(), *args)))
    except BaseException:
        return _pack((False, (time.monotonic(), traceback.format_exc())))
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
