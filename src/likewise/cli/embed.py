"""``likewise embed``: vectors of data, into a file."""

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json, Role, RunFolder
from likewise.core.errors import InputError, near, require

if TYPE_CHECKING:
    import numpy as np

    from likewise.data.dataset import Dataset


def embed(
    run: RunFolder,
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="A source's name, or your folder or file; by default the run's own."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Ends in .npz, .parquet or .csv.")],
    role: Role = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Samples at a time.")] = 512,
    json: Json = False,
) -> None:
    """Write the embeddings of data into a file.

    A row per sample: id, key (its path), label if there is one, and the vector of unit length.

    Examples:
      likewise embed runs/photos ~/photos --out photos.parquet
      likewise embed runs/photos ~/photos --out photos.npz --force
      likewise embed runs/films --role user --out users.npz
      python -c "import numpy as np; print(np.load('photos.npz')['vectors'].shape)"
    """
    write = WRITERS.get(out.suffix)
    if write is None:
        raise InputError(
            f"can't write {str(out)!r}: the name ends in {' or '.join(WRITERS)}{near(out.suffix, WRITERS)}"
        )
    if out.exists() and not force:
        raise InputError(f"{out} exists already: choose another --out, or replace it with --force")
    from likewise.api import Run

    held = Run(run)
    dataset = held.dataset(data, role)
    vectors = held.embed(dataset, role=role, batch=batch)
    with whole(out) as temporary:
        write(temporary, dataset, vectors)
    if json:
        terminal.emit({"file": out, "rows": len(vectors), "dim": vectors.shape[1]})
        return
    terminal.line("done", f"{out}   {len(vectors):,} rows of {vectors.shape[1]}")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path that takes the name ``path`` only when the block has succeeded."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _labels(dataset: "Dataset") -> list[Any] | None:
    """A name or number per row; None where a row has no label."""
    if dataset.labels is None:
        return None
    values = dataset.labels.tolist()
    if dataset.classes is None:
        return values
    return [dataset.classes[v] if v >= 0 else None for v in values]


def _write_npz(path: Path, dataset: "Dataset", vectors: "np.ndarray") -> None:
    import numpy as np

    arrays: dict[str, Any] = {
        "vectors": vectors,
        "ids": np.arange(len(vectors)),
        "keys": np.array(list(dataset.keys), str),
    }
    if dataset.labels is not None:
        arrays["labels"] = dataset.labels.numpy()
    if dataset.classes is not None:
        arrays["classes"] = np.array(list(dataset.classes), str)
    np.savez(path, **arrays)


def _write_parquet(path: Path, dataset: "Dataset", vectors: "np.ndarray") -> None:
    arrow = require("pyarrow", "tables", "writing Parquet")
    parquet = require("pyarrow.parquet", "tables", "writing Parquet")
    columns = {"id": list(range(len(vectors))), "key": list(dataset.keys)}
    labels = _labels(dataset)
    if labels is not None:
        columns["label"] = labels
    flat = arrow.array(vectors.ravel())
    columns["vector"] = arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    parquet.write_table(arrow.table(columns), path)


def _write_csv(path: Path, dataset: "Dataset", vectors: "np.ndarray") -> None:
    labels = _labels(dataset)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        label = [] if labels is None else ["label"]
        out.writerow(["id", "key", *label, *(f"v{i}" for i in range(vectors.shape[1]))])
        for i, vector in enumerate(vectors):
            mine = [] if labels is None else ["" if labels[i] is None else labels[i]]
            out.writerow([i, dataset.keys[i], *mine, *(f"{v:.7g}" for v in vector.tolist())])


WRITERS = {".npz": _write_npz, ".parquet": _write_parquet, ".csv": _write_csv}
