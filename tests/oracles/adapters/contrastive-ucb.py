"""Contrastive UCB's part for pixels, SPR-UCB, against the numbers of its code."""

import torch

from likewise.functional import rl
from likewise.parts.exploration import OnlineCovariance
from likewise.testing.oracle import Answer, Case, equation


@equation("Lambda_*", "bonus_[0-9]", "bonus_return_*", rtol=1e-6, atol=1e-8)
def bonus(case: Case) -> Answer:
    out: dict[str, torch.Tensor] = {}
    steps, discount = case.number("n_step"), case.number("discount")
    dim = case.tensor("phi_0").shape[2]
    seen = OnlineCovariance(dim, ridge=case.number("lambda0"), weight=case.number("bonus_factor")).double()
    number = 0
    while case.has(f"phi_{number}"):
        found = seen(case.tensor(f"phi_{number}"))
        out[f"Lambda_{number}"] = seen.sigma.clone()
        out[f"bonus_{number}"] = found
        done = case.tensor(f"done_{number}")
        out[f"bonus_return_{number}"] = rl.n_step_bonus(found, done, discount=discount, steps=steps)
        number += 1
    return out


@equation("c51_loss", "c51_kl", "c51_grad_mean")
def c51(case: Case) -> Answer:
    log_pred = case.leaf("c51_log_pred")
    gain = case.tensor("c51_return") + case.tensor("c51_bonus")
    keep = case.number("discount") ** case.number("n_step") * (1 - case.tensor("c51_done_n"))
    target = rl.c51_target(case.tensor("c51_target_probs"), case.tensor("c51_online_next_probs"), gain, keep)
    loss, divergence = rl.c51_loss(log_pred, case.tensor("c51_action"), target)
    return {"c51_loss": loss, "c51_kl": divergence, "c51_grad_mean": torch.autograd.grad(loss.mean(), log_pred)[0]}


@equation("spr_loss", "spr_sum_grad", rtol=1e-5, atol=1e-6)  # recorded in float32
def spr(case: Case) -> Answer:
    predicted = case.leaf("spr_pred")
    loss = rl.spr_loss(predicted, case.tensor("spr_target"))
    return {"spr_loss": loss, "spr_sum_grad": torch.autograd.grad(loss.sum(), predicted)[0]}


@equation("renorm_out", rtol=1e-5, atol=1e-6)  # recorded in float32
def renormalised(case: Case) -> Answer:
    return {"renorm_out": rl.renormalise(case.tensor("renorm_in"))}
