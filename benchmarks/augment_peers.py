"""The SimCLR recipe in the forms that people use; run by augment.py in the peers' own environment.

Reads a line of JSON per measurement, {"form", "size", "images" (path of an .npy, uint8 (n, s, s, 3)), "seconds"}, and
answers with one: {"images_per_s", "mean", "std"}. "forms" alone lists what can run here.
"""

import importlib.metadata
import importlib.util
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter
from torch.utils.data import DataLoader, Dataset

from peers import shim

BATCH, WORKERS, THREADS = 256, 2, 2
JITTER, JITTER_PROB, GRAY_PROB, BLUR_PROB, SIGMA, SCALE = (0.8, 0.8, 0.8, 0.2), 0.8, 0.2, 0.5, (0.1, 2.0), (0.08, 1.0)


def kernel_of(size: int) -> int:
    return max(3, int(0.1 * size) // 2 * 2 + 1)


class Samples(Dataset):
    """The images, repeated without end, each through the transform of one image at a time."""

    def __init__(self, images: list[Any], transform: Callable[[Any], torch.Tensor]) -> None:
        self.images, self.transform = images, transform

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.transform(self.images[i % len(self.images)])


def loaded(images: list[Any], transform: Callable[[Any], torch.Tensor]) -> Iterator[torch.Tensor]:
    """Batches from a DataLoader with workers, one thread each: the usual form."""
    yield from DataLoader(Samples(images, transform), batch_size=BATCH, num_workers=WORKERS)


def in_process(images: list[Any], transform: Callable[[Any], torch.Tensor]) -> Iterator[torch.Tensor]:
    """Batches made in this process, all threads."""
    while True:
        yield torch.stack([transform(x) for x in images[:BATCH]])


def pictures(arrays: np.ndarray) -> list[Image.Image]:
    return [Image.fromarray(x) for x in arrays]


def planes(arrays: np.ndarray) -> list[torch.Tensor]:
    return list(torch.from_numpy(arrays).permute(0, 3, 1, 2).contiguous())


def pillow(size: int) -> Callable[[Image.Image], torch.Tensor]:
    """The recipe with Pillow's own operations, as transforms of PIL images have them."""
    low, high = [max(0.0, 1 - s) for s in JITTER[:3]], [1 + s for s in JITTER[:3]]
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)

    def box(width: int, height: int) -> tuple[int, int, int, int]:
        for _ in range(10):
            area, shape = width * height * random.uniform(*SCALE), np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
            w, h = round((area * shape) ** 0.5), round((area / shape) ** 0.5)
            if 0 < w <= width and 0 < h <= height:
                left, top = random.randint(0, width - w), random.randint(0, height - h)
                return left, top, left + w, top + h
        return 0, 0, width, height

    def shift_hue(x: Image.Image, turns: float) -> Image.Image:
        hue, saturation, value = x.convert("HSV").split()
        moved = (np.asarray(hue).astype(np.int16) + int(turns * 255)).astype(np.uint8)
        return Image.merge("HSV", (Image.fromarray(moved), saturation, value)).convert("RGB")

    def transform(x: Image.Image) -> torch.Tensor:
        x = x.resize((size, size), Image.Resampling.BILINEAR, box=box(*x.size))
        if random.random() < 0.5:
            x = x.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if random.random() < JITTER_PROB:
            for step in random.sample(range(4), 4):
                if step < 3:
                    x = enhancers[step](x).enhance(random.uniform(low[step], high[step]))
                else:
                    x = shift_hue(x, random.uniform(-JITTER[3], JITTER[3]))
        if random.random() < GRAY_PROB:
            x = x.convert("L").convert("RGB")
        if random.random() < BLUR_PROB:
            x = x.filter(ImageFilter.GaussianBlur(random.uniform(*SIGMA)))
        values = torch.from_numpy(np.array(x)).permute(2, 0, 1).to(torch.float32)
        return values.div_(127.5).sub_(1)

    return transform


def torchvision(size: int, of_pictures: bool) -> Callable[[Any], torch.Tensor]:
    """torchvision's v2 transforms in the order of its references."""
    shim()
    import torchvision.transforms.v2 as T

    steps = [
        T.RandomResizedCrop(size, scale=SCALE, antialias=True),
        T.RandomHorizontalFlip(),
        T.RandomApply([T.ColorJitter(*JITTER)], p=JITTER_PROB),
        T.RandomGrayscale(GRAY_PROB),
        T.RandomApply([T.GaussianBlur(kernel_of(size), SIGMA)], p=BLUR_PROB),
        *([T.ToImage()] if of_pictures else []),
        T.ToDtype(torch.float32, scale=True),
        T.Normalize([0.5] * 3, [0.5] * 3),
    ]
    return T.Compose(steps)


def kornia(arrays: np.ndarray, size: int) -> Iterator[torch.Tensor]:
    """kornia's batched transforms with parameters per sample."""
    import kornia.augmentation as K

    transform = K.AugmentationSequential(
        K.RandomResizedCrop((size, size), scale=SCALE),
        K.RandomHorizontalFlip(),
        K.ColorJitter(*JITTER, p=JITTER_PROB),
        K.RandomGrayscale(p=GRAY_PROB),
        K.RandomGaussianBlur((kernel_of(size),) * 2, SIGMA, p=BLUR_PROB),
        K.Normalize(torch.full((3,), 0.5), torch.full((3,), 0.5)),
        data_keys=["input"],
    )
    batch = torch.stack(planes(arrays)[:BATCH])
    while True:
        yield transform(batch.to(torch.float32).div_(255))


FORMS: dict[str, tuple[str, Callable[[np.ndarray, int], Iterator[torch.Tensor]]]] = {
    "torchvision, PIL images, 2 workers": ("torchvision", lambda x, s: loaded(pictures(x), torchvision(s, True))),
    "torchvision, tensors, 2 workers": ("torchvision", lambda x, s: loaded(planes(x), torchvision(s, False))),
    "torchvision, tensors, one process": ("torchvision", lambda x, s: in_process(planes(x), torchvision(s, False))),
    "Pillow, 2 workers": ("PIL", lambda x, s: loaded(pictures(x), pillow(s))),
    "kornia, batched": ("kornia", kornia),
}


def measure(batches: Iterator[torch.Tensor], seconds: float) -> dict[str, float]:
    """Images per second of the batches after the first two, for at least ``seconds`` and two batches."""
    for _ in range(2):
        batch = next(batches)
    count, start = 0, time.perf_counter()
    while count < 2 or time.perf_counter() - start < seconds:
        batch = next(batches)
        count += 1
    spent = time.perf_counter() - start
    return {"images_per_s": count * len(batch) / spent, "mean": float(batch.mean()), "std": float(batch.std())}


def main() -> None:
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    random.seed(0)
    for line in sys.stdin:
        task = json.loads(line)
        if task["form"] == "forms":
            answer: dict[str, Any] = {
                "forms": [f for f, (module, _) in FORMS.items() if importlib.util.find_spec(module)]
            }
            answer["versions"] = {"torch": torch.__version__, "pillow": Image.__version__, "numpy": np.__version__}
            for name in ("torchvision", "kornia"):
                if importlib.util.find_spec(name):
                    answer["versions"][name] = importlib.metadata.version(name)
        else:
            batches = FORMS[task["form"]][1](np.load(task["images"]), task["size"])
            answer = measure(batches, task["seconds"])
            del batches
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
