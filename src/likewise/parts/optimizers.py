"""Optimisers as parts: numbers in, a function from named parameter groups to a ``torch.optim.Optimizer`` out.

Every group becomes up to two optimiser groups with its name, its starting rate in ``initial_lr``, and weight decay
for the matrices only: biases, norms and learned temperatures (tensors of fewer than two axes) have no scale to decay.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from likewise.core.errors import InputError, near
from likewise.core.recipe import part

Groups = Mapping[str, Sequence[nn.Parameter]]
MakeOptimizer = Callable[[Groups], Optimizer]


@part("optimizer")
def sgd(
    lr: float = 0.03,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    lr_scale: tuple[str, ...] = (),
    decay_all: bool = False,
) -> MakeOptimizer:
    """Stochastic gradient descent with momentum.

    Args:
        lr: learning rate.
        momentum: of the gradient.
        weight_decay: added to the gradient, times the weight.
        lr_scale: factors on the rate of parameter groups, ``"predictor=10"``.
        decay_all: decay biases and norms too, as some papers' code does (never learned temperatures).
    """
    _check("sgd", lr=lr, momentum=momentum, weight_decay=weight_decay)
    return lambda groups: torch.optim.SGD(
        _optimizer_groups(groups, lr, weight_decay, lr_scale, decay_all), lr=lr, momentum=momentum
    )


@part("optimizer")
def adam(
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    weight_decay: float = 1e-6,
    lr_scale: tuple[str, ...] = (),
    decay_all: bool = False,
) -> MakeOptimizer:
    """Adam (Kingma & Ba, 2015); weight decay joins the gradient. Settings as for ``sgd``."""
    _check("adam", lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay)
    return lambda groups: torch.optim.Adam(
        _optimizer_groups(groups, lr, weight_decay, lr_scale, decay_all), lr=lr, betas=(beta1, beta2)
    )


@part("optimizer")
def adamw(
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    weight_decay: float = 0.05,
    lr_scale: tuple[str, ...] = (),
    decay_all: bool = False,
) -> MakeOptimizer:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019). Settings as for ``sgd``."""
    _check("adamw", lr=lr, beta1=beta1, beta2=beta2, weight_decay=weight_decay)
    return lambda groups: torch.optim.AdamW(
        _optimizer_groups(groups, lr, weight_decay, lr_scale, decay_all), lr=lr, betas=(beta1, beta2)
    )


@part("optimizer")
def lars(
    lr: float = 0.3,
    momentum: float = 0.9,
    weight_decay: float = 1e-6,
    trust: float = 0.001,
    bias_scale: float = 1.0,
    lr_scale: tuple[str, ...] = (),
) -> MakeOptimizer:
    """LARS (You et al., 2017, arXiv:1708.03888) for large batches; see :class:`LARS`.

    Args:
        lr: learning rate.
        momentum: of the adapted gradient.
        weight_decay: of the adapted (matrix) parameters.
        trust: the trust coefficient, eta in the paper.
        bias_scale: factor on the rate of biases and norms (Barlow Twins: 0.0048 / 0.2).
        lr_scale: factors on the rate of parameter groups, ``"predictor=10"``.
    """
    _check("lars", lr=lr, momentum=momentum, weight_decay=weight_decay, trust=trust, bias_scale=bias_scale)

    def make(groups: Groups) -> Optimizer:
        split = _optimizer_groups(groups, lr, weight_decay, lr_scale, decay_all=False)
        for group in split:
            # what is not decayed is not adapted either: the norm of a bias says nothing about its gradient's scale
            group["adapt"] = all(p.ndim > 1 for p in group["params"])
            group["initial_lr"] *= 1.0 if group["adapt"] else bias_scale
            group["lr"] = group["initial_lr"]
        return LARS(split, lr=lr, momentum=momentum, trust=trust)

    return make


class LARS(Optimizer):
    r"""Momentum on gradients that are rescaled per tensor to a share of the weight's own norm.

    .. math:: v \leftarrow \mu v + \eta\frac{\lVert w\rVert}{\lVert g + \lambda w\rVert}(g + \lambda w),
        \qquad w \leftarrow w - \gamma v

    with the ratio left out (1) where either norm is 0 and in groups with ``adapt=False``. Weight decay
    :math:`\lambda` is added before the ratio, as SimCLR's and Barlow Twins' code have it.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        adapt: bool = True,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust, "adapt": adapt}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                grad = weight.grad.add(weight, alpha=group["weight_decay"])
                if group["adapt"]:
                    of_weight, of_grad = weight.norm(), grad.norm()
                    ratio = group["trust"] * of_weight / of_grad
                    grad = grad * torch.where((of_weight > 0) & (of_grad > 0), ratio, torch.ones_like(ratio))
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                velocity = state["momentum_buffer"].mul_(group["momentum"]).add_(grad)
                weight.add_(velocity, alpha=-group["lr"])
        return loss


def _optimizer_groups(
    groups: Groups, lr: float, weight_decay: float, lr_scale: Sequence[str], decay_all: bool
) -> list[dict[str, Any]]:
    """Each named group as one with weight decay and one without; empty ones are left out."""
    scale = _scales(lr_scale, groups)
    out: list[dict[str, Any]] = []
    for name, parameters in groups.items():
        decayed = [p for p in parameters if p.ndim > 1 or (decay_all and p.numel() > 1)]
        held = {id(p) for p in decayed}
        rest = [p for p in parameters if id(p) not in held]
        rate = lr * scale.get(name, 1.0)
        for members, decay in ((decayed, weight_decay), (rest, 0.0)):
            if members:
                out.append({"params": members, "name": name, "lr": rate, "initial_lr": rate, "weight_decay": decay})
    if not out:
        raise InputError("nothing to train: the method has no parameters that take a gradient")
    return out


def _scales(lr_scale: Sequence[str], groups: Groups) -> dict[str, float]:
    """``"predictor=10"`` as ``{"predictor": 10.0}``; the names must be groups of the learner."""
    out = {}
    for item in lr_scale:
        name, _, factor = item.partition("=")
        if name not in groups:
            raise InputError(f"lr_scale={item!r}: no parameter group {name!r}{near(name, groups)}")
        try:
            out[name] = float(factor)
        except ValueError:
            raise InputError(f"lr_scale={item!r}: expected a number after '=', like {name}=10") from None
    return out


def _check(name: str, **settings: float) -> None:
    for setting, value in settings.items():
        if not value >= 0:
            raise InputError(f"optimizer {name}: {setting} must not be negative, got {value}")
