"""SimCLR, DCL, DCLW and SupCon: the loss of the whole method against loops, and what it looks at."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from likewise.core.batch import Batch
from likewise.core.comm import Collective
from likewise.core.errors import InputError


def rows(n: int = 6, d: int = 5, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {r: torch.randn(n, d, generator=generator, dtype=torch.float64) for r in ("a", "b")}


def of(n: int, labels: torch.Tensor | None = None) -> Batch:
    return Batch({}, torch.arange(n), labels)


def cosines(z: dict[str, torch.Tensor]) -> list[list[float]]:
    u = normalize(torch.cat([z["a"], z["b"]]), dim=1)
    return (u @ u.T).tolist()


def test_simclr_by_loops(build) -> None:
    learner, z, n = build("simclr", temperature=0.3), rows(), 6
    s = cosines(z)
    loss = 0.0
    for i in range(2 * n):
        partner = (i + n) % (2 * n)
        loss -= s[i][partner] / 0.3 - math.log(sum(math.exp(s[i][k] / 0.3) for k in range(2 * n) if k != i))
    found = learner.objective(z, of(n), Collective()).loss
    assert float(found) == pytest.approx(loss / (2 * n), abs=1e-9)


@pytest.mark.parametrize("slug", ["dcl", "dclw"])
def test_dcl_by_loops(slug, build) -> None:
    learner, z, n = build(slug, temperature=0.3), rows(), 6
    s = cosines(z)
    mean = sum(math.exp(s[j][j + n] / 0.5) for j in range(n)) / n
    loss = 0.0
    for i in range(2 * n):
        positive = s[i % n][i % n + n]
        weight = 2 - math.exp(positive / 0.5) / mean if slug == "dclw" else 1
        others = [k for k in range(2 * n) if k % n != i % n]
        loss += -weight * positive / 0.3 + math.log(sum(math.exp(s[i][k] / 0.3) for k in others))
    found = learner.objective(z, of(n), Collective()).loss
    assert float(found) == pytest.approx(loss / (2 * n), abs=1e-9)


def pull(learner, n: int, temperature: float, angle: float = 0.3) -> float:
    """How strongly the loss draws the views of one sample together, in units of 1 / temperature."""
    z = rows(n)
    for view in z.values():
        view[:, :2] = 0  # the others lie at right angles to the pair, wherever it turns
    turn = torch.tensor(angle, dtype=torch.float64, requires_grad=True)
    still = torch.zeros(3, dtype=torch.float64)
    a = torch.cat([torch.tensor([1.0, 0.0]), still])
    b = torch.cat([turn.cos()[None], turn.sin()[None], still])
    views = {"a": torch.cat([a[None], z["a"][1:]]), "b": torch.cat([b[None], z["b"][1:]])}
    (slope,) = torch.autograd.grad(learner.objective(views, of(n), Collective()).loss, turn)
    return float(slope) / math.sin(angle) * n * temperature


@pytest.mark.parametrize("n", [2, 4, 32])
def test_decoupling_frees_the_pull_of_the_positive_from_the_batch(n, build) -> None:
    positive = math.exp(math.cos(0.3) / 0.5)
    coupled = 1 - positive / (positive + 2 * (n - 1))
    assert pull(build("simclr", temperature=0.5), n, 0.5) == pytest.approx(coupled, abs=1e-9)
    assert pull(build("dcl", temperature=0.5), n, 0.5) == pytest.approx(1.0, abs=1e-9)


def test_dclw_weights_are_constants_unless_told_otherwise(build) -> None:
    z = {r: v.requires_grad_() for r, v in rows().items()}
    grads = []
    for detach in (True, False):
        loss = build("dclw", detach_weight=detach).objective(z, of(6), Collective()).loss
        grads.append((loss.item(), torch.autograd.grad(loss, z["a"])[0]))
    assert grads[0][0] == grads[1][0]
    assert not torch.allclose(grads[0][1], grads[1][1])


def test_dclw_with_a_wide_sigma_is_dcl(build) -> None:
    z = rows()
    wide = build("dclw", sigma=1e7).objective(z, of(6), Collective()).loss
    assert float(wide) == pytest.approx(float(build("dcl").objective(z, of(6), Collective()).loss), abs=1e-5)


@pytest.mark.parametrize("slug", ["simclr", "dcl", "dclw", "supcon"])
def test_both_views_pass_batch_norm_together(slug, build, batch) -> None:
    learner, both = build(slug), batch()
    learner.encode(both)
    norm = learner.encoder.blocks[1]
    with torch.no_grad():
        maps = learner.encoder.blocks[0](torch.cat([both.views["a"], both.views["b"]]))
    assert int(norm.num_batches_tracked) == 1
    assert torch.allclose(norm.running_mean, 0.1 * maps.mean((0, 2, 3)), atol=1e-5)


@pytest.mark.parametrize("slug", ["simclr", "dcl"])
def test_a_sample_twice_in_the_batch_is_not_its_own_negative(slug, build) -> None:
    z = {r: torch.cat([v, v[:1]]) for r, v in rows().items()}
    once = Batch({}, torch.tensor([0, 1, 2, 3, 4, 5, 0]))
    learner = build(slug, temperature=0.05)
    known, unknown = (float(learner.objective(z, b, Collective()).loss) for b in (once, of(7)))
    assert known < unknown


@pytest.mark.parametrize("base", [0.07, 0.3])
def test_supcon_by_loops(base, build) -> None:
    n, tau = 6, 0.3
    learner, z = build("supcon", temperature=tau, base_temperature=base), rows()
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    s, y = cosines(z), labels.tolist() * 2
    loss = 0.0
    for i in range(2 * n):
        log_sum = math.log(sum(math.exp(s[i][k] / tau) for k in range(2 * n) if k != i))
        positives = [j for j in range(2 * n) if j != i and y[j] == y[i]]
        loss -= tau / base * sum(s[i][j] / tau - log_sum for j in positives) / len(positives)
    found = learner.objective(z, of(n, labels), Collective()).loss
    assert float(found) == pytest.approx(loss / (2 * n), abs=1e-9)


def test_supcon_without_labels_says_what_to_do(build) -> None:
    with pytest.raises(InputError, match="supcon learns from labels"):
        build("supcon").objective(rows(), of(6), Collective())


@pytest.mark.parametrize("slug", ["simclr", "dcl", "dclw", "supcon"])
def test_a_batch_of_one_costs_nothing(slug, build) -> None:
    z = {r: v.requires_grad_() for r, v in rows(1).items()}
    loss = build(slug).objective(z, of(1, torch.tensor([0])), Collective()).loss
    grads = torch.autograd.grad(loss, list(z.values()), allow_unused=True)
    assert loss.item() == pytest.approx(0, abs=1e-9)
    assert all(g is None or g.abs().max() < 1e-9 for g in grads)
