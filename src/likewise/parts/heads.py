"""Projection and prediction heads: perceptrons with the norms and biases that each paper's code has."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from likewise.core.batch import cat, count

LastNorm = Literal["none", "batch", "scale", "plain"]


def mlp(
    dim: int,
    hidden: int,
    out: int,
    *,
    layers: int = 2,
    norm: Literal["batch", "none"] = "batch",
    last_norm: LastNorm = "none",
    bias: bool = False,
    last_bias: bool = True,
    act: Literal["relu", "elu"] = "relu",
) -> nn.Sequential:
    """A perceptron ``(n, dim) -> (n, out)``: linear, norm, activation, ..., linear, perhaps norm.

    Args:
        dim: width of the input.
        hidden: width between the layers.
        out: width of the output.
        layers: number of linear layers; 1 is a linear head.
        norm: between the layers.
        last_norm: after the last layer: ``batch``, ``scale`` (batch norm whose shift stays 0), ``plain`` (without scale
            and shift), or none.
        bias: of linear layers that a batch norm follows, where it is redundant but part of some papers' code;
            without ``norm`` the hidden layers always have one.
        last_bias: of the last layer when no norm follows it; ``bias`` decides when one does.
        act: activation between the layers.
    """
    widths = [dim, *[hidden] * (layers - 1)]
    stack: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        stack.append(nn.Linear(before, after, bias=bias or norm == "none"))
        stack += [nn.BatchNorm1d(after)] if norm == "batch" else []
        stack.append(nn.ELU(inplace=True) if act == "elu" else nn.ReLU(inplace=True))
    stack.append(nn.Linear(widths[-1], out, bias=last_bias if last_norm == "none" else bias))
    if last_norm != "none":
        norm_of_out = nn.BatchNorm1d(out, affine=last_norm != "plain")
        if last_norm == "scale":
            norm_of_out.bias.requires_grad_(False)
        stack.append(norm_of_out)
    return nn.Sequential(*stack)


def together(views: Sequence[Any], *networks: Callable[[Any], Tensor]) -> list[Tensor]:
    """``networks`` in turn on all views in one pass, so that batch norms see the views together, as SimCLR's do.

    Args:
        views: of n samples each, and of one shape.
        networks: from a view to features, from features on.

    Returns:
        One ``(n, d)`` tensor per view.
    """
    out: Any = cat(views)
    for network in networks:
        out = network(out)
    return list(out.split([count(view) for view in views]))
