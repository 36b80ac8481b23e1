"""DirectPred of facebookresearch/luckmatters: running moments, the predictors set from them, loss and target."""

import torch
from torch import Tensor, nn

from likewise import functional
from likewise.functional.direct import on_eigenvalues, predictor_spectrum
from likewise.parts.momentum import Momentum
from likewise.parts.predictors import LinearPredictor
from likewise.testing.oracle import Answer, Case, equation

REG = 0.01
"""The fixture's weights with a regularisation were made with this one."""


def run(case: Case, *, centre: bool = False, **settings: object) -> LinearPredictor:
    """A predictor that has seen all steps of both views."""
    steps, eps = case.tensor("online"), case.number("eps")
    held = LinearPredictor(
        steps.shape[3],
        lambda moment: functional.direct_pred(moment, eps=eps, **settings),
        decay=case.number("rho"),
        centre=centre,
    ).double()
    for step in steps:
        held.update(*held.statistics(step.flatten(0, 1)))
    return held


@equation("corr_ema")
def moments(case: Case) -> Answer:
    steps = case.tensor("online")
    held, seen = LinearPredictor(steps.shape[3], None, decay=case.number("rho")).double(), []
    for step in steps:
        held.update(*held.statistics(step.flatten(0, 1)))
        seen.append(held.moment.clone())
    return {"corr_ema": torch.stack(seen)}


@equation("mean_ema", "w_directpred", "w_directpred_zero_mean", "w_directpred_eps_inside", "w_directpred_reg")
def direct_pred(case: Case) -> Answer:
    held = run(case)
    return {
        "mean_ema": held.mean,
        "w_directpred": held.weight,
        "w_directpred_zero_mean": run(case, centre=True).weight,
        "w_directpred_eps_inside": run(case, variant="inside").weight,
        "w_directpred_reg": run(case, shrink=REG).weight,
    }


@equation("w_clamp")
def clamp(case: Case) -> Answer:
    return {"w_clamp": on_eigenvalues(run(case).moment, lambda s: s.clamp(0, 1 - REG))}


@equation("w_directpred_diag_f32", rtol=1e-6, atol=1e-6)
def diagonal(case: Case) -> Answer:
    """Made in float32 by the code: the moment's diagonal in place of its eigenvalues."""
    spectrum = predictor_spectrum(run(case).moment.diagonal(), eps=case.number("eps"))
    return {"w_directpred_diag_f32": spectrum.diag()}


@equation("w_directcopy_f32", rtol=1e-6, atol=1e-6)
def direct_copy(case: Case) -> Answer:
    """Made in float32 by the code."""
    return {"w_directcopy_f32": functional.direct_set(run(case).moment, eps=case.number("eps"), variant="code")}


@equation("byol_*")
def byol(case: Case) -> Answer:
    prediction, target = case.leaf("p"), case.tensor("y")
    loss = 2 * functional.negative_cosine(prediction, target)
    values: dict[str, Tensor | float] = {
        "byol_loss_per_sample": loss.detach(),
        "byol_loss_unnormalised": functional.alignment(prediction, target).detach(),
    }
    return values | dict(case.answer("byol", loss.mean(), value=None))


@equation("ema_target_w_after")
def target(case: Case) -> Answer:
    online = nn.Linear(*reversed(case.tensor("ema_online_w").shape), bias=False).double()
    online.weight.data.copy_(case.tensor("ema_target_w"))
    slow = Momentum(online, momentum=0.996)
    online.weight.data.copy_(case.tensor("ema_online_w"))
    slow.update(online)
    return {"ema_target_w_after": next(slow.parameters())}
