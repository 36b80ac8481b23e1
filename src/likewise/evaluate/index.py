"""Nearest neighbours among embeddings: exact where that is fast, approximate for many rows."""

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from likewise.core.errors import InputError, require
from likewise.functional.metrics import nearest

MANY = 50_000
"""Rows beyond which faiss is used where it is installed."""
_FORMAT = "likewise-index-1"


class Index:
    """Rows to search by cosine, each with a key.

    Args:
        vectors: ``(n, d)``, at least one row; brought to unit length.
        keys: what a person calls each row; their numbers if None.
        approximate: search an inverted file of faiss (about 95 % of the neighbours, in a fraction of the time): for
            more than 50,000 rows and if faiss is there when None.

    Raises:
        InputError: shapes that don't fit, values that are not finite, or faiss asked for and not installed.
    """

    def __init__(self, vectors: Tensor, keys: Sequence[str] | None = None, *, approximate: bool | None = None) -> None:
        if vectors.ndim != 2 or not len(vectors) or not vectors.shape[1]:
            raise InputError(f"an index needs rows of features (n, d), got shape {tuple(vectors.shape)}")
        if keys is not None and len(keys) != len(vectors):
            raise InputError(f"an index of {len(vectors)} rows needs as many keys, got {len(keys)}")
        if not vectors.isfinite().all():
            raise InputError("the features to index are not all finite")
        self.vectors = F.normalize(vectors.detach().float(), dim=1).contiguous()
        self.keys: Sequence[str] = [str(i) for i in range(len(vectors))] if keys is None else list(keys)
        self.approximate = approximate
        self._faiss: Any = None
        if approximate:
            self._module()

    def __len__(self) -> int:
        return len(self.vectors)

    def search(self, query: Tensor, k: int = 10) -> tuple[Tensor, Tensor]:
        """The ``k`` nearest rows of each query, best first; all rows if there are fewer.

        Args:
            query: ``(m, d)`` or ``(d,)``.
            k: how many, 1 or more.

        Returns:
            Cosines ``(m, k)`` float32 and positions ``(m, k)`` int64, on the index's device.

        Raises:
            InputError: another width than the index's, or k below 1.
        """
        query = query.detach()[None] if query.ndim == 1 else query.detach()
        if query.ndim != 2 or query.shape[1] != self.vectors.shape[1]:
            wanted, got = self.vectors.shape[1], tuple(query.shape)
            raise InputError(f"the index holds rows of width {wanted}, the query has shape {got}: another encoder?")
        if k < 1:
            raise InputError(f"k={k}: must be at least 1")
        k = min(k, len(self))
        found = self._built()
        if found is None:
            return nearest(query.to(self.vectors).float(), self.vectors, k)
        rows = F.normalize(query.float().cpu(), dim=1).contiguous()
        scores, positions = (torch.from_numpy(a) for a in found.search(rows.numpy(), k))
        missed = (positions < 0).any(1)
        if missed.any():  # the lists looked at held fewer than k rows
            scores[missed], positions[missed] = (
                t.cpu() for t in nearest(rows[missed].to(self.vectors), self.vectors, k)
            )
        return scores.to(self.vectors.device), positions.to(self.vectors.device)

    def save(self, path: str | Path) -> None:
        """Write vectors and keys as one safetensors file; an old one is replaced when the new one is complete."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        path = Path(path)
        text = torch.frombuffer(bytearray(json.dumps(list(self.keys)).encode()), dtype=torch.uint8)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"vectors": self.vectors.cpu(), "keys": text}, str(temporary), {"format": _FORMAT})
            os.replace(temporary, path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"index {path} can't be written: {getattr(error, 'strerror', '') or error}") from error
        finally:
            with contextlib.suppress(OSError):  # gone, or its folder never was
                temporary.unlink()

    @classmethod
    def load(cls, path: str | Path, *, approximate: bool | None = None) -> "Index":
        """Read what :meth:`save` wrote; nothing in the file is run.

        Raises:
            InputError: no file, or not an index.
        """
        from safetensors import SafetensorError, safe_open

        if not Path(path).is_file():
            raise InputError(f"no index at {path}")
        try:
            with safe_open(str(path), framework="pt") as file:
                if (file.metadata() or {}).get("format") != _FORMAT:
                    raise InputError(f"{path} is not an index: write one with Index.save")
                vectors, text = file.get_tensor("vectors"), file.get_tensor("keys")
            keys = json.loads(text.numpy().tobytes().decode())
        except (SafetensorError, ValueError, OSError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path} is not an index or is damaged: {error}") from error
        if not isinstance(keys, list) or not vectors.is_floating_point():
            raise InputError(f"{path} is not an index or is damaged: unexpected contents")
        return cls(vectors, keys, approximate=approximate)

    def _module(self) -> Any:
        return require("faiss", "search", "an approximate index")

    def _built(self) -> Any:
        """The faiss index, made at the first search, or None for the exact search."""
        if self._faiss is not None or self.approximate is False:
            return self._faiss
        if self.approximate is None:
            if len(self) <= MANY:
                return None
            try:
                faiss = self._module()
            except InputError:
                return None  # exact search needs no extra and finds all neighbours, only slower
        else:
            faiss = self._module()
        n, d = self.vectors.shape
        # about sqrt(n) lists; faiss asks for 39 training rows for each
        lists = max(1, min(int(4 * n**0.5), n // 39))
        index = faiss.index_factory(d, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
        index.cp.seed = 0
        rows = self.vectors.cpu().numpy()
        index.train(rows)
        index.add(rows)
        index.nprobe = max(1, min(lists, max(16, lists // 16)))
        self._faiss = index
        return index
