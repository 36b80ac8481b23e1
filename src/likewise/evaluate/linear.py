"""Linear models on frozen features, fitted to convergence: logistic and ridge regression."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Inverse regularisations that the linear probe chooses from."""
_DOUBLE = 2**25
"""Up to so many numbers in the features the regression is computed in float64."""


_SMALL = 2**18
"""Below so many numbers one thread is faster than several."""


@dataclass(frozen=True)
class Standard:
    """Brings every coordinate to mean 0 and standard deviation 1, as measured on the rows it was made from.

    A coordinate that does not vary beyond rounding becomes 0: scaled up, its rounding errors would pass for a feature.
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, x: Tensor) -> "Standard":
        """From rows ``(n, d)``."""
        mean, std = x.mean(0), x.std(0, unbiased=False)
        size = x.square().mean(0).sqrt()
        return cls(mean, torch.where(std > 1e-5 * size, 1 / std.clamp_min(torch.finfo(x.dtype).tiny), 0))

    def __call__(self, x: Tensor) -> Tensor:
        """Rows ``(n, d)`` on the common scale."""
        return (x - self.mean) * self.scale


@dataclass(frozen=True)
class Logistic:
    """A fitted multinomial logistic regression: ``weight (c, d)``, ``bias (c,)``, and whether it converged."""

    weight: Tensor
    bias: Tensor
    converged: bool

    def scores(self, x: Tensor) -> Tensor:
        """Logits ``(n, c)``."""
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias)

    def predict(self, x: Tensor) -> Tensor:
        """Classes ``(n,)`` int64, from 0."""
        return self.scores(x).argmax(1)


def logistic(
    x: Tensor,
    y: Tensor,
    num_classes: int,
    *,
    c: float = 1.0,
    start: Logistic | None = None,
    tolerance: float = 1e-4,
    max_iter: int = 2000,
) -> Logistic:
    r"""Multinomial logistic regression with L2, by L-BFGS until the gradient of the mean loss is below ``tolerance``.

    .. math::  \min_{W, b} \sum_i -\log \mathrm{softmax}(W x_i + b)_{y_i} + \frac{1}{2 C} \lVert W \rVert^2

    scikit-learn's convention for C with three or more classes.

    Args:
        x: ``(n, d)`` rows, on a common scale.
        y: ``(n,)`` int64 classes, 0 to ``num_classes - 1``.
        num_classes: how many, seen or not.
        c: inverse regularisation.
        start: where to begin; at zero if None.
        tolerance: largest absolute entry of the gradient at the end.
        max_iter: give up after so many steps; ``converged`` tells.
    """
    from scipy.optimize import minimize

    n, d = x.shape
    x = x.double() if x.numel() <= _DOUBLE and x.device.type != "mps" else x.float()
    decay = 1 / (c * n)

    def value_and_gradient(w: np.ndarray) -> tuple[float, np.ndarray]:
        both = torch.from_numpy(w).view(num_classes, d + 1).to(x)
        weight, bias = both[:, :d], both[:, d]
        log_prob = torch.addmm(bias, x, weight.T).log_softmax(1)
        value = -log_prob.gather(1, y[:, None]).sum() / n + decay / 2 * weight.square().sum()
        slope = log_prob.exp_()
        slope[torch.arange(n, device=x.device), y] -= 1
        slope /= n
        gradient = torch.cat([slope.T @ x + decay * weight, slope.sum(0)[:, None]], 1)
        return float(value), gradient.flatten().double().cpu().numpy()

    first = torch.zeros(num_classes, d + 1, dtype=torch.float64)
    if start is not None:
        first = torch.cat([start.weight, start.bias[:, None]], 1).double().cpu()
    options = {"maxiter": max_iter, "maxfun": 2 * max_iter, "gtol": tolerance, "ftol": 64 * np.finfo(float).eps}
    with _one_thread(x.numel() < _SMALL):
        found = minimize(value_and_gradient, first.flatten().numpy(), jac=True, method="L-BFGS-B", options=options)
    both = torch.from_numpy(found.x).view(num_classes, d + 1).to(x)
    return Logistic(both[:, :d], both[:, d], bool(found.status == 0 or np.abs(found.jac).max() <= 10 * tolerance))


@contextmanager
def _one_thread(wanted: bool) -> Iterator[None]:
    """Thousands of small products: waking a second thread for each takes longer than the product."""
    held = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(held)


def balanced(y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """An order of the rows whose every beginning has its classes as even as they can be.

    Returns:
        The order ``(n,)``, and the number ``(n,)`` of rows of the same class before each in it.
    """
    shuffled = torch.randperm(len(y), generator=generator)
    by_class = shuffled[y.cpu()[shuffled].argsort(stable=True)]
    _, size = torch.unique_consecutive(y.cpu()[by_class], return_counts=True)
    turn = torch.arange(len(y)) - (size.cumsum(0) - size).repeat_interleave(size)
    # within a turn the classes come in random order, so that no class is favoured where a beginning ends
    mixed = torch.randperm(len(y), generator=generator)
    order = mixed[turn[mixed].argsort(stable=True)]
    return by_class[order], turn[order]


def choose_c(
    x: Tensor, y: Tensor, num_classes: int, generator: torch.Generator, *, grid: Sequence[float] = GRID
) -> float:
    """The inverse regularisation with the best accuracy on held-out rows of ``x``; of equals, the lower loss.

    A fifth of the rows is held out, stratified; with at most 1000 rows each fifth in turn. The path goes from strong to
    weak regularisation, each fit starting at the last, and ends when accuracy has fallen twice.
    """
    order, turn = balanced(y, generator)
    fold = torch.empty_like(turn)
    fold[order] = (turn + 1) % 5  # the first row of a class is never in fold 0
    fold = fold.to(x.device)
    folds = range(5) if len(y) <= 1000 else range(1)
    parts = [(fold != f, fold == f) for f in folds if (fold == f).any() and (fold != f).any()]
    if not parts:
        return 1.0
    starts: list[Logistic | None] = [None] * len(parts)
    best, best_c, worse = (-1, 0.0), 1.0, 0
    for c in grid:
        hits, loss = 0, 0.0
        for i, (fit, held) in enumerate(parts):
            starts[i] = model = logistic(x[fit], y[fit], num_classes, c=c, start=starts[i], tolerance=1e-3)
            scores = model.scores(x[held])
            hits += int((scores.argmax(1) == y[held]).sum())
            loss += float(F.cross_entropy(scores, y[held], reduction="sum"))
        worse = worse + 1 if hits < best[0] else 0
        if (hits, -loss) > best:
            best, best_c = (hits, -loss), c
        if worse == 2:
            break
    return best_c


def fit_probe(
    x: Tensor, y: Tensor, num_classes: int, generator: torch.Generator, *, grid: Sequence[float] = GRID
) -> tuple[Logistic, float]:
    """A logistic regression whose C was chosen on held-out rows, refitted on all; and that C."""
    c = choose_c(x, y, num_classes, generator, grid=grid)
    model = logistic(x, y, num_classes, c=c)
    if not model.converged:
        warnings.warn(
            f"the linear probe (C = {c:g}) did not converge: read its accuracy as a lower bound", stacklevel=3
        )
    return model, c


def ridge(x: Tensor, y: Tensor, penalties: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Ridge regressions ``y ~ x w + b`` under each penalty, through one eigendecomposition, in float64.

    Args:
        x: ``(n, d)`` rows.
        y: ``(n,)`` targets.
        penalties: weights of ``|w|^2`` beside the sum of squares; above 0.

    Returns:
        ``w (p, d)`` and ``b (p,)``.
    """
    x, y = (t.cpu().double() for t in (x, y))
    centre, level = x.mean(0), y.mean()
    values, vectors = torch.linalg.eigh((x - centre).T @ (x - centre))
    pull = vectors.T @ ((x - centre).T @ (y - level))
    shrink = 1 / (values.clamp_min(0) + torch.tensor(penalties, dtype=torch.float64)[:, None])
    w = (shrink * pull) @ vectors.T
    return w, level - w @ centre


def fit_ridge(x: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Ridge regression ``w (d,)``, ``b`` whose penalty is chosen on a held-out fifth of the rows, refitted on all."""
    penalties = [len(x) * 10.0**e for e in range(-6, 3)]
    order = torch.randperm(len(x), generator=generator)
    held, fit = order[: len(x) // 5], order[len(x) // 5 :]
    best = len(penalties) // 2
    if len(held):
        w, b = ridge(x[fit], y[fit], penalties)
        error = (x[held].cpu().double() @ w.T + b - y[held].cpu().double()[:, None]).square().sum(0)
        best = int(error.argmin())
    w, b = ridge(x, y, [penalties[best]])
    return w[0], b[0]
