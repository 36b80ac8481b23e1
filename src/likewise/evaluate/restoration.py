"""How near restored pictures come to the true ones: PSNR, SSIM and the energy of their fine detail."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from likewise.core.batch import move
from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.core.recipe import part
from likewise.data.dataset import Dataset
from likewise.evaluate.features import Views, at_rest
from likewise.evaluate.measure import Asked, Measure
from likewise.evaluate.strip import write_strip
from likewise.functional.restoration import haar, luma, psnr, ssim
from likewise.parts.encoders.sr import enlarge
from likewise.parts.restoration import same_factor
from likewise.views.restoration import RestorationViews, eight_bits

_OWN = ("psnr", "ssim", "detail_error", "detail")
_SHOWN = 8
_PIXELS = 2**22  # of the pictures that are restored at a time


@part("measure")
class Restoration(Measure):
    """PSNR, SSIM and fine detail of test pictures, made small and restored; the same of bicubic enlargement.

    As usual for super-resolution: in 8 bits, of the brightness, without a border of ``factor`` pixels. Detail is the
    energy of the high bands of one level of the Haar wavelet, all pictures together, relative to the true ones'.

    Args:
        limit: at most so many test pictures, the first ones.
    """

    untrained = ("psnr", "ssim", "detail_error")

    def __init__(self, *, limit: int = 2000) -> None:
        if limit < 1:
            raise InputError(f"restoration: limit={limit} leaves nothing to measure")
        self.limit = limit

    @property
    def names(self) -> tuple[str, ...]:
        """Every metric that comes out."""
        return (*_OWN, *(f"{name}_bicubic" for name in _OWN[:3]), "test_rows")

    def measured(self, asked: Asked) -> dict[str, Any]:
        """Means over the test pictures (all pictures where none is held out)."""
        found: list[dict[str, float]] = []
        rows = self._rows(asked.dataset, self.limit)
        with at_rest(asked.learner, asked.device) as where:
            for low, high in _pairs(asked.views, asked.dataset, rows, where):
                factor = high.shape[2] // low.shape[2]
                ours = _compared(eight_bits(_restore(asked.learner, low, factor)), high, factor)
                bicubic = _compared(eight_bits(enlarge(low, factor)), high, factor)
                found.append(ours | {f"{name}_bicubic": value for name, value in bicubic.items()})
        total = {name: sum(each[name] for each in found) for name in found[0]}
        out = {**_summed_up(total, len(rows)), **_summed_up(total, len(rows), "_bicubic")}
        return {name: out[name] for name in self.names if name in out} | {"test_rows": len(rows)}

    def probe(self, learner: Learner, views: Views, dataset: Dataset, *, rows: int, seed: int) -> dict[str, Any]:
        """PSNR and detail of a few test pictures."""
        few = Restoration(limit=min(rows, self.limit, 200))
        return few.evaluate(learner, views, dataset, what=("psnr", "detail_error"))

    def illustrate(self, learner: Learner, views: Views, dataset: Dataset, folder: Path) -> None:
        """``pictures.png``: some test pictures enlarged by bicubic interpolation, restored, and as they are."""
        rows = self._rows(dataset, _SHOWN)
        with at_rest(learner) as where:
            for low, high in _pairs(views, dataset, rows, where):
                factor = high.shape[2] // low.shape[2]
                columns = [enlarge(low, factor), _restore(learner, low, factor), high]
                write_strip(folder / "pictures.png", columns, ("bicubic", "restored", "original"))
                return

    @staticmethod
    def _rows(dataset: Dataset, limit: int) -> Tensor:
        rows = dataset.test_rows if bool(dataset.test.any()) else torch.arange(len(dataset))
        return rows[:limit]


def _restore(learner: Learner, low: Tensor, factor: int) -> Tensor:
    """Restored pictures.

    Raises:
        InputError: the learner restores none, or makes them larger by another factor than the views made them smaller.
    """
    found: Callable[[Tensor], Tensor] | None = getattr(learner, "restore", None)
    if found is None:
        raise InputError(f"{type(learner).__name__} restores no pictures")
    out = found(low)
    same_factor(factor, out.shape[2] // low.shape[2])
    return out


def _pairs(views: Views, dataset: Dataset, rows: Tensor, where: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Small pictures and what they were made of, some at a time."""
    if not isinstance(views, RestorationViews):
        raise InputError("the measure 'restoration' needs the views 'restoration', which make pictures small")
    image = dataset.columns.get("image")
    if not isinstance(image, Tensor):
        raise InputError(f"{dataset.name} has no pictures to restore")
    size = max(1, _PIXELS // (image.shape[2] * image.shape[3]))
    for part_rows in rows.split(size):
        columns = {name: move(column, where) for name, column in dataset.take(part_rows).items()}
        low = views.plain(columns)["low"]
        assert isinstance(low, Tensor)
        yield low, views.whole(columns)


def _compared(restored: Tensor, image: Tensor, border: int) -> dict[str, float]:
    """Sums over pictures: PSNR, SSIM, and the energies of the detail of both."""
    if min(image.shape[2:]) <= 2 * border + 1:
        raise InputError(f"pictures of {image.shape[2]}x{image.shape[3]} pixels are too small to be measured")
    x, y = (luma(each)[:, :, border:-border, border:-border] for each in (restored, image))
    ours, theirs = (float(haar(each)[1].double().square().sum()) for each in (x, y))
    return {"psnr": float(psnr(x, y).sum()), "ssim": float(ssim(x, y).sum()), "ours": ours, "theirs": theirs}


def _summed_up(total: dict[str, float], count: int, end: str = "") -> dict[str, float]:
    out = {f"{name}{end}": total[f"{name}{end}"] / count for name in ("psnr", "ssim")}
    if total[f"theirs{end}"] > 0:
        share = total[f"ours{end}"] / total[f"theirs{end}"]
        out |= {f"detail{end}": share, f"detail_error{end}": abs(share - 1)}
    return out
