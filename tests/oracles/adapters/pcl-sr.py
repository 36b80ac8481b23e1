"""PCL-SR against the numbers of its code: contrasts of feature maps, the discriminator's loss, and Haar's bands."""

import torch

from likewise.functional import restoration as f
from likewise.testing.oracle import Answer, Case, equation


def maps(case: Case, key: str) -> torch.Tensor:
    """``(n, k, c, h, w)`` from the fixture's ``(k, n, c, h, w)``."""
    return case.tensor(key).transpose(0, 1)


@equation("nce", "grad_sr_feat")
def contrast(case: Case) -> Answer:
    anchor, positive, negative = case.leaf("sr_feat"), maps(case, "pos_feats"), maps(case, "neg_feats")
    if case.number("shuffle_neg"):
        others = [negative[order, k] for k, order in enumerate(case.tensor("shuffle_orders"))]
        negative = torch.cat([negative, torch.stack(others, 1)], 1)
    else:
        assert not case.array("shuffle_orders").size
    loss = f.restoration_nce(
        f.map_cosine(anchor, positive),
        f.map_cosine(anchor, negative),
        decoupled=case.number("loss_type") == "LMCL",
    )
    return case.answer("nce", loss.mean(), value="{}", grad="grad_{1}")


@equation("d_loss", "grad_real", "grad_fake")
def discriminator(case: Case) -> Answer:
    real, fake = case.leaf("real_logits"), case.leaf("fake_logits")
    rows = real.flatten(), fake.flatten()
    loss = f.dual_contrast(*rows, *rows)
    grads = torch.autograd.grad(loss, [real, fake])
    return {"d_loss": loss, "grad_real": grads[0], "grad_fake": grads[1]}


@equation("ratio_*", "grad_ratio_*")
def ratios(case: Case) -> Answer:
    out: dict[str, torch.Tensor] = {}
    for kind in ("l1", "l2", "cosine"):
        anchor = case.leaf("sr_feat")
        closeness = f.map_distance if kind == "l1" else f.map_cosine
        near, far = (closeness(anchor, maps(case, key)[:, :1]).mean(1) for key in ("pos_feats", "neg_feats"))
        loss = f.restoration_ratio(near, far, kind)
        out |= {f"ratio_{kind}": loss, f"grad_ratio_{kind}": torch.autograd.grad(loss, anchor)[0]}
    return out


@equation("haar_*", rtol=1e-6, atol=1e-7)  # recorded in float32
def bands(case: Case) -> Answer:
    smooth, detail = f.haar(case.tensor("img"))
    return {"haar_LL": smooth, "haar_high": detail}
