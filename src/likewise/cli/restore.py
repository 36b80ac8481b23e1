"""``likewise restore``: larger versions of pictures, by a run that learned to restore."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json, RunFolder
from likewise.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_SHOWN = 8
_SIDE = 96
"""Pixels of the small pictures' middle that the comparison shows, at most."""


def restore(
    run: RunFolder,
    pictures: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of pictures, or one picture.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write the restored pictures, PNG files.")],
    full_size: Annotated[
        bool,
        typer.Option("--full-size", help="They are originals: make them small first, restore that, and compare."),
    ] = False,
    json: Json = False,
) -> None:
    """Make pictures larger, by a run of a method for restoration (edsr, pcl-sr).

    Each picture comes out the run's factor wider and higher. comparison.png shows bicubic enlargement beside it.

    Examples:
      likewise restore runs/clothes ~/small-pictures --out larger
      likewise restore runs/clothes ~/photos --out check --full-size
    """
    import torch

    from likewise.api import Run
    from likewise.data.progress import Bar
    from likewise.evaluate.features import at_rest
    from likewise.evaluate.strip import to_pillow, write_strip
    from likewise.parts.encoders.sr import enlarge
    from likewise.parts.restoration import Restorer
    from likewise.views.restoration import eight_bits, shrink

    held = Run(run)
    learner = held.learner
    if not isinstance(learner, Restorer):
        raise InputError(f"{run} is a run of {held.slug}, which restores no pictures: train edsr or pcl-sr for that")
    names = _pictures(pictures)
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: choose a folder for the restored pictures (--out)")
    skipped: list[tuple[str, str]] = []
    written: list[Path] = []
    versions: list[list[Tensor]] = []
    sums: list[dict[str, float]] = []
    out.mkdir(parents=True, exist_ok=True)
    with at_rest(learner, held.device), Bar(len(names), "restoring") as bar:
        for source, name in names:
            bar.advance(1)
            image, reason = _read(source, held.plan.facts["channels"])
            if image is not None and full_size:
                height, width = (side - side % learner.factor for side in image.shape[2:])
                image = image[:, :, :height, :width]
                if min(height, width) < 8 * learner.factor:
                    image, reason = None, f"{width}x{height} pixels: too small to be made smaller"
            if image is None:
                skipped.append((str(source), reason))
                continue
            low = shrink(image, learner.factor) if full_size else image
            made = eight_bits(learner.restore(low.to(held.device))).cpu()
            target = out / name
            target.parent.mkdir(parents=True, exist_ok=True)
            to_pillow(made[0]).save(target)
            written.append(target)
            bicubic = eight_bits(enlarge(low, learner.factor))
            if full_size:
                sums.append(_numbers(made, bicubic, image, learner.factor))
            if len(versions) < _SHOWN:
                versions.append([bicubic, made, *([image] if full_size else [])])
    for path, reason in skipped:
        terminal.note(f"skipped {path}: {reason}")
    if not written:
        raise InputError(f"none of the {len(names)} picture(s) in {pictures} can be used: {skipped[0][1]}")
    side = min([_SIDE * learner.factor, *(s for each in versions for s in each[0].shape[2:])])
    columns = [torch.cat([_middle(each[i], side) for each in versions]) for i in range(len(versions[0]))]
    write_strip(out / "comparison.png", columns, ("bicubic", "restored", "original")[: len(columns)])
    metrics = {name: sum(each[name] for each in sums) / len(sums) for name in (sums[0] if sums else ())}
    if json:
        answer = {"run": run, "written": written, "skipped": dict(skipped), "metrics": metrics}
        terminal.emit({**answer, "comparison": out / "comparison.png"})
        return
    terminal.line("done", f"{len(written)} picture(s), {learner.factor} times larger, in {out}")
    if metrics:
        terminal.line("metrics", "  ".join(f"{name.replace('_', ' ')} {v:.4g}" for name, v in metrics.items()))
    terminal.line("compare", str(out / "comparison.png"))


def _pictures(path: Path) -> list[tuple[Path, str]]:
    """Every picture under ``path``, or the one that it is, with the name of its PNG file."""
    from likewise.data.images import SUFFIXES

    if path.is_file():
        return [(path, path.stem + ".png")]
    if not path.is_dir():
        raise InputError(f"no folder or picture at {path}")
    found = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not found:
        raise InputError(f"no pictures in {path}")
    stems = [p.relative_to(path).with_suffix("") for p in found]
    whole = [stem if stems.count(stem) == 1 else p.relative_to(path) for stem, p in zip(stems, found)]
    return [(p, f"{name}.png") for p, name in zip(found, whole)]


def _read(path: Path, channels: int) -> "tuple[Tensor | None, str]":
    """A picture ``(1, channels, h, w)`` in 0..1, or None and why not."""
    import torch

    from likewise.data.images import UnreadableImageError, read_whole
    from likewise.functional.restoration import luma

    try:
        image = torch.from_numpy(read_whole(path))[None].float() / 255
    except UnreadableImageError as error:
        return None, str(error)
    return luma(image) if channels == 1 else image, ""


def _middle(image: "Tensor", side: int) -> "Tensor":
    top, left = ((s - side) // 2 for s in image.shape[2:])
    return image[:, :, top : top + side, left : left + side]


def _numbers(made: "Tensor", bicubic: "Tensor", image: "Tensor", border: int) -> dict[str, Any]:
    from likewise.functional.restoration import luma, psnr, ssim

    inner = [luma(each)[:, :, border:-border, border:-border] for each in (made, bicubic, image)]
    pairs = (("", inner[0]), ("_bicubic", inner[1]))
    measures = (("psnr", psnr), ("ssim", ssim))
    return {f"{name}{end}": float(measure(x, inner[2])) for name, measure in measures for end, x in pairs}
