import pytest
import torch
from torch import nn

from likewise.core.errors import InputError
from likewise.core.recipe import find_part, part_names
from likewise.parts.optimizers import LARS, adam, adamw, lars, sgd

FACTORIES = [sgd, adam, adamw, lars]


def groups() -> dict[str, list[nn.Parameter]]:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    temperature = nn.Parameter(torch.tensor([0.5]))
    return {"encoder": list(net.parameters()), "predictor": [nn.Parameter(torch.randn(2, 2)), temperature]}


def test_every_optimizer_is_a_part() -> None:
    # other tests of this process may have registered more
    assert {"adam", "adamw", "lars", "sgd"} <= set(part_names("optimizer"))
    assert find_part("optimizer", "lars") is lars


@pytest.mark.parametrize("make", FACTORIES)
def test_groups_keep_their_names_and_only_matrices_decay(make) -> None:
    held = groups()
    built = make(lr=0.1, weight_decay=0.01)(held)
    seen = [p for g in built.param_groups for p in g["params"]]
    assert {id(p) for p in seen} == {id(p) for ps in held.values() for p in ps}
    assert len(seen) == 6
    for group in built.param_groups:
        assert group["initial_lr"] == group["lr"] == 0.1
        assert group["weight_decay"] == (0.01 if group["params"][0].ndim == 2 else 0.0)
        assert all(any(p is q for q in held[group["name"]]) for p in group["params"])


@pytest.mark.parametrize("make", FACTORIES)
def test_groups_can_have_a_rate_of_their_own(make) -> None:
    built = make(lr=0.1, lr_scale=("predictor=10",))(groups())
    rates = {g["name"]: g["initial_lr"] for g in built.param_groups}
    assert rates == {"encoder": pytest.approx(0.1), "predictor": pytest.approx(1.0)}


@pytest.mark.parametrize(
    ("setting", "says"),
    [("predicter=10", "no parameter group 'predicter'; did you mean 'predictor'"), ("predictor", "number after '='")],
)
def test_a_rate_for_no_group_or_without_number_is_refused(setting, says) -> None:
    with pytest.raises(InputError, match=says):
        sgd(lr_scale=(setting,))(groups())


@pytest.mark.parametrize("make", FACTORIES)
def test_negative_settings_and_nothing_to_train_are_refused(make) -> None:
    with pytest.raises(InputError, match=r"lr must not be negative, got -0\.1"):
        make(lr=-0.1)
    with pytest.raises(InputError, match="nothing to train"):
        make()({"all": []})


def test_decay_all_spares_learned_temperatures_only() -> None:
    built = sgd(weight_decay=0.01, decay_all=True)(groups())
    spared = [p for g in built.param_groups if g["weight_decay"] == 0 for p in g["params"]]
    assert [p.numel() for p in spared] == [1]


def test_lars_by_hand() -> None:
    """Two steps of You et al.'s update, written out."""
    weight, bias = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(3))
    w, b, v_w, v_b = weight.detach().clone(), bias.detach().clone(), torch.zeros(3, 2), torch.zeros(3)
    built = lars(lr=0.5, momentum=0.9, weight_decay=0.1, trust=0.02, bias_scale=0.25)({"all": [weight, bias]})
    for _ in range(2):
        weight.grad, bias.grad = torch.randn(3, 2), torch.randn(3)
        g = weight.grad + 0.1 * w
        v_w = 0.9 * v_w + 0.02 * w.norm() / g.norm() * g
        v_b = 0.9 * v_b + bias.grad
        w, b = w - 0.5 * v_w, b - 0.5 * 0.25 * v_b
        built.step()
        assert torch.allclose(weight, w, atol=1e-6)
        assert torch.allclose(bias, b, atol=1e-6)


def test_lars_takes_plain_steps_where_a_norm_is_zero() -> None:
    zero = nn.Parameter(torch.zeros(2, 2))
    zero.grad = torch.ones(2, 2)
    LARS([zero], lr=0.1, momentum=0.0).step()
    assert torch.allclose(zero, torch.full((2, 2), -0.1))
    still = nn.Parameter(torch.ones(2, 2))
    still.grad = torch.zeros(2, 2)
    LARS([still], lr=0.1).step()
    assert torch.equal(still, torch.ones(2, 2))


@pytest.mark.parametrize("make", FACTORIES)
def test_state_survives_saving(make) -> None:
    torch.manual_seed(1)
    first = {"all": [nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(3))]}
    second = {"all": [nn.Parameter(p.detach().clone()) for p in first["all"]]}
    a, b = make(lr=0.1)(first), make(lr=0.1)(second)

    def step(optimizer: torch.optim.Optimizer, params: list[nn.Parameter], seed: int) -> None:
        torch.manual_seed(seed)
        for p in params:
            p.grad = torch.randn_like(p)
        optimizer.step()

    step(a, first["all"], 0)
    step(b, second["all"], 0)
    c = make(lr=0.1)(second)
    c.load_state_dict(b.state_dict())
    assert [g["name"] for g in c.param_groups] == ["all", "all"]
    step(a, first["all"], 1)
    step(c, second["all"], 1)
    assert all(torch.equal(p, q) for p, q in zip(first["all"], second["all"]))
