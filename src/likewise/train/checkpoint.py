"""Checkpoints that can be trusted: safetensors and JSON, renamed into place, with a checksum checked on load."""

import errno
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from likewise.core.errors import InputError

KEEP = 2
"""Checkpoints kept: the newest, and one to fall back to."""
_TENSOR = "tensor:"


def save(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write ``state`` (nested dicts and lists of tensors and plain values) as checkpoint ``step``.

    Raises:
        InputError: the disk is full or the folder can't be written; earlier checkpoints are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    plain = _take_tensors(state, "", tensors)
    weights, facts = folder / f"step-{step:08d}.safetensors", folder / f"step-{step:08d}.json"
    temporary = [path.with_name(f".{path.name}.tmp") for path in (weights, facts)]
    try:
        save_file(tensors, temporary[0])
        content = json.dumps({"step": step, "sha256": _digest(temporary[0]), "state": plain})
        with temporary[1].open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # the JSON comes last: a checkpoint without it was never finished
        os.replace(temporary[0], weights)
        os.replace(temporary[1], facts)
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        what = "the disk is full" if full else f"it can't be written ({error})"
        held = steps(folder)
        kept = f"the checkpoint of step {held[-1]} is intact" if held else "nothing was saved yet"
        raise InputError(f"checkpoint of step {step} in {folder}: {what}; {kept}: make room and --resume") from error
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)
    for old in steps(folder)[:-KEEP]:
        for suffix in (".json", ".safetensors"):
            (folder / f"step-{old:08d}{suffix}").unlink(missing_ok=True)
    return weights


def steps(folder: Path) -> list[int]:
    """Steps of the finished checkpoints, oldest first."""
    names = [p.stem.removeprefix("step-") for p in folder.glob("step-*.json")]
    return sorted(int(n) for n in names if n.isdigit())


def load(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """``(step, state)`` of the newest checkpoint that is whole, or None when there is none at all.

    A corrupted or truncated one is named in a warning and the one before it is used.

    Raises:
        InputError: there are checkpoints, but none is whole.
    """
    found = steps(folder)
    problems = []
    for step in reversed(found):
        try:
            return step, load_step(folder, step)
        except InputError as error:
            problems.append(str(error))
            if step != found[0]:
                warnings.warn(f"{error}; using the one before it", stacklevel=2)
    if problems:
        raise InputError(f"no whole checkpoint in {folder}: {problems[0]}")
    return None


def load_step(folder: Path, step: int) -> dict[str, Any]:
    """The state of one checkpoint, its checksum verified."""
    weights, facts = folder / f"step-{step:08d}.safetensors", folder / f"step-{step:08d}.json"
    try:
        content = json.loads(facts.read_text(encoding="utf-8"))
        plain, expected = content["state"], content["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"checkpoint {facts} is damaged ({type(error).__name__})") from error
    try:
        if _digest(weights) != expected:
            raise InputError(f"checkpoint {weights} is damaged: its checksum does not match")
        with safe_open(weights, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise InputError(f"checkpoint {weights} can't be read: {error}") from error
    out = _put_tensors(plain, tensors)
    assert isinstance(out, dict)
    return out


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _take_tensors(value: Any, path: str, out: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        # a copy of its own: safetensors refuses tensors that share memory
        out[path] = value.detach().cpu().contiguous().clone()
        return _TENSOR + path
    if isinstance(value, Mapping):
        # JSON has no integer keys, and optimisers use them
        return {"dict": [[k, _take_tensors(v, f"{path}/{k}", out)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return [_take_tensors(v, f"{path}/{i}", out) for i, v in enumerate(value)]
    return value


def _put_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, str) and value.startswith(_TENSOR):
        return tensors[value.removeprefix(_TENSOR)]
    if isinstance(value, dict):
        return {k: _put_tensors(v, tensors) for k, v in value["dict"]}
    if isinstance(value, list):
        return [_put_tensors(v, tensors) for v in value]
    return value


def load_weights(module: torch.nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load ``state`` into ``module``, or say in a line what does not fit."""
    mine = module.state_dict()
    missing, extra = sorted(set(mine) - set(state)), sorted(set(state) - set(mine))
    shapes = [k for k in mine if k in state and mine[k].shape != state[k].shape]
    if missing or extra or shapes:
        first = [
            f"{n} {w}, first {ks[0]!r}"
            for w, n, ks in (
                ("missing", len(missing), missing),
                ("unknown", len(extra), extra),
                ("of another shape", len(shapes), shapes),
            )
            if ks
        ]
        raise InputError(f"{where} holds another model's weights ({'; '.join(first)})")
    module.load_state_dict(dict(state))
