"""AutoTCL of AslanDing/AutoTCL: the encoder's two terms, the mask, and the augmenter's loss."""

import torch
from torch import Tensor

from likewise import functional
from likewise.parts.gates import HardConcrete
from likewise.parts.series import GlobalLocal
from likewise.similarity import unit_rows
from likewise.testing.oracle import Answer, Case, equation

THRESHOLD = 0.4
"""Below so much information kept per time step the augmenter pays nothing."""


def across(case: Case, a: Tensor, b: Tensor) -> Tensor:
    pooled = (unit_rows(z.amax(1)) for z in (a, b))
    return functional.info_nce(*pooled, temperature=case.number("temperature")).mean()


def within(case: Case, steps: Tensor) -> Tensor:
    start = torch.full((len(steps),), int(case.number("local_start")))
    settings = {"segments": case.number("k"), "temperature": case.number("temperature")}
    return functional.local_contrast(steps, start, **settings)[0]  # the code looks at the first series alone


def discrepancy(a: Tensor, b: Tensor) -> Tensor:
    return functional.mmd(a.amax(1), b.amax(1))


def consistency(case: Case, weight: Tensor) -> Tensor:
    return functional.mask_consistency(weight, case.tensor("sel0"), case.tensor("sel1"), variant="code")


@equation("global_*")
def of_series(case: Case) -> Answer:
    assert case.number("pooling") == "max"
    return case.answer("global", across(case, case.leaf("z1"), case.leaf("z2")))


@equation("local_loss", "local_grad_*")
def of_segments(case: Case) -> Answer:
    return case.answer("local", within(case, case.leaf("z1")))


@equation("mmd", "mmd_grad_*")
def of_distributions(case: Case) -> Answer:
    return case.answer("mmd", discrepancy(case.leaf("z1"), case.leaf("z2")), value="{}")


@equation("mask_*", "augmented", "augmented_sum_grad_*")
def gate(case: Case) -> Answer:
    made = HardConcrete(
        bias=case.number("gumbel_bias"), stretch=case.number("gamma_zeta"), hard=bool(case.number("hard_mask"))
    )
    weight, uniform = case.leaf("weight_h"), case.tensor("uniform")
    mask = made(weight, uniform)
    view = case.tensor("weight_s") * mask * case.tensor("x")
    return {
        "mask_soft": made.soft(weight, uniform),
        "mask_eval": made.soft(weight),
        "mask_used": mask,
        "augmented": view,
        **case.answer("augmented_sum", view.sum(), value=None),
    }


@equation("regular", "regular_grad_*", "reg", "reg_thres")
def of_weights(case: Case) -> Answer:
    weight = case.leaf("weight_h")
    return {
        "reg": functional.information_kept(weight, threshold=THRESHOLD),
        "reg_thres": THRESHOLD,
        **case.answer("regular", consistency(case, weight), value="{}"),
    }


@equation("aug_loss")
def of_augmenter(case: Case) -> Answer:
    weight = case.tensor("weight_h")
    terms = (
        discrepancy(case.tensor("z1"), case.tensor("z2")),
        case.number("reg_weight") * functional.information_kept(weight, threshold=THRESHOLD),
        case.number("regular_weight") * consistency(case, weight),
    )
    return {"aug_loss": sum(terms)}


@equation("encoder_loss")
def of_encoder(case: Case) -> Answer:
    a, b = case.tensor("z1"), case.tensor("z2")
    # the part takes the mean over series, where the code takes the first one: a batch whose series are all the first
    whole = GlobalLocal(case.number("temperature"), local_weight=0.0, segments=case.number("k"))
    loss, _ = whole(a, b, torch.zeros(len(a)))
    return {"encoder_loss": loss + case.number("local_weight") * within(case, a)}
