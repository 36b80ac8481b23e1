"""What every equation shares: full precision outside autocast, and shapes that tests check."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

_HALF = (torch.float16, torch.bfloat16)
_LISTS = (list, tuple)
_checking = False


def check_shapes(on: bool) -> None:
    """Check the shape annotations of every equation at each call (needs beartype). Meant for tests."""
    global _checking
    _checking = on


def _full(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.dtype in _HALF else value
    if isinstance(value, _LISTS) and any(isinstance(v, Tensor) for v in value):
        return type(value)(_full(v) for v in value)
    return value


def equation(function: Callable[P, R]) -> Callable[P, R]:
    """Run an equation outside autocast in float32 or better (float64 stays float64), with its shapes checked in tests.

    Calling ``.float()`` alone is not enough: a matrix product inside autocast would go back to half precision.
    """

    @functools.cache
    def checked() -> Callable[P, R]:
        from beartype import beartype
        from jaxtyping import jaxtyped

        return jaxtyped(typechecker=beartype)(function)

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        body: Callable[..., R] = checked() if _checking else function
        full, named = [_full(v) for v in args], {k: _full(v) for k, v in kwargs.items()}
        device = next((v.device.type for v in (*full, *named.values()) if isinstance(v, Tensor)), "cpu")
        if not torch.is_autocast_enabled(device):
            return body(*full, **named)
        with torch.autocast(device, enabled=False):
            return body(*full, **named)

    return run


def softplus(x: Tensor) -> Tensor:
    """``log(1 + e^x)`` to the last digit of float64; PyTorch's default rounds ``e^-20`` away."""
    return torch.nn.functional.softplus(x, threshold=50)
