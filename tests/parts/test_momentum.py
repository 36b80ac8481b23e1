import math

import pytest
import torch
from torch import nn

from likewise.core.errors import InputError
from likewise.parts.momentum import Momentum, in_norm_groups


def small_net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def move(net: nn.Module) -> None:
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn_like(p))


def test_a_teacher_starts_as_a_copy_without_gradient() -> None:
    encoder, head = small_net(), nn.Linear(4, 2)
    teacher = Momentum(encoder, head, momentum=0.9)
    x = torch.randn(6, 3)
    assert torch.equal(teacher(x), head(encoder(x)).detach())
    assert not teacher(x).requires_grad
    assert not any(p.requires_grad for p in teacher.parameters())
    move(encoder)
    assert not torch.equal(teacher(x), head(encoder(x)).detach())


@pytest.mark.parametrize("m", [0.0, 0.9, 1.0])
def test_an_update_moves_by_exactly_the_momentum(m) -> None:
    net = small_net()
    teacher = Momentum(net, momentum=m)
    before = [p.clone() for p in teacher.parameters()]
    move(net)
    teacher.update(net)
    for old, new, now in zip(before, net.parameters(), teacher.parameters()):
        assert torch.allclose(now, m * old + (1 - m) * new, atol=1e-7)


def test_the_cosine_schedule_of_byol() -> None:
    teacher = Momentum(small_net(), momentum=0.996, final=1.0)
    for step in range(11):
        assert teacher.at(step / 10) == pytest.approx(1 - 0.004 * (math.cos(math.pi * step / 10) + 1) / 2, abs=1e-12)
    assert Momentum(small_net(), momentum=0.9).at(0.7) == 0.9


def test_updating_after_a_step_gives_the_keys_of_code_that_updates_before_the_next() -> None:
    steps, x = 6, torch.randn(5, 3)
    net = small_net()
    ours, theirs = (Momentum(net, momentum=0.5, final=1.0) for _ in range(2))
    for step in range(steps):
        theirs.update(net, progress=step / steps)  # the papers' code: before the keys, with this step's momentum
        assert torch.allclose(ours(x), theirs(x), atol=1e-6)
        move(net)
        ours.update(net, progress=(step + 1) / steps)  # ours: after the step, with the next step's


def test_running_statistics_are_its_own_or_the_students() -> None:
    net = small_net()
    own, copied = Momentum(net, momentum=0.9), Momentum(net, momentum=0.9, buffers="copy")
    for _ in range(3):
        net(torch.randn(8, 3) + 1)
    own.update(net)
    copied.update(net)
    assert torch.equal(own.copies[0][1].running_mean, torch.zeros(4))
    assert torch.equal(copied.copies[0][1].running_mean, net[1].running_mean)
    assert int(copied.copies[0][1].num_batches_tracked) == 3


def test_a_teacher_is_saved() -> None:
    net = small_net()
    teacher, other = Momentum(net, momentum=0.9), Momentum(small_net(), momentum=0.9)
    move(net)
    teacher.update(net)
    other.load_state_dict(teacher.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(teacher.state_dict().values(), other.state_dict().values()))


def test_momentum_is_a_share() -> None:
    with pytest.raises(InputError, match=r"from 0 to 1, got 1\.1"):
        Momentum(small_net(), momentum=1.1)
    with pytest.raises(TypeError, match="needs a torch module"):
        Momentum(lambda x: x, momentum=0.9)


def test_groups_have_statistics_of_their_own_and_rows_keep_their_order() -> None:
    norm = nn.BatchNorm1d(3, affine=False)
    x = torch.randn(10, 3) + torch.arange(10.0)[:, None]
    out = in_norm_groups(norm, x, 2)
    for part in (slice(0, 5), slice(5, 10)):
        assert torch.allclose(out[part], norm(x[part]), atol=1e-6)
    assert not torch.allclose(out, norm(x), atol=1e-2)
    assert torch.equal(in_norm_groups(norm, x, 1, shuffle=True), norm(x))
    # with nothing that mixes rows, shuffling changes nothing
    assert torch.equal(in_norm_groups(nn.Identity(), x, 3, shuffle=True), x)


def test_shuffled_groups_are_random_and_repeat_with_the_seed() -> None:
    norm, x = nn.BatchNorm1d(3, affine=False), torch.randn(10, 3) + torch.arange(10.0)[:, None]

    def shuffled(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return in_norm_groups(norm, x, 2, shuffle=True)

    assert torch.equal(shuffled(1), shuffled(1))
    assert not torch.allclose(shuffled(1), shuffled(2))
    assert not torch.allclose(shuffled(1), in_norm_groups(norm, x, 2))


@pytest.mark.parametrize(("n", "sizes"), [(9, [3, 2, 2, 2]), (5, [3, 2]), (3, [3]), (1, [1])])
def test_no_group_is_left_with_a_single_row(n, sizes) -> None:
    seen: list[int] = []

    def spy(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return x

    in_norm_groups(spy, torch.zeros(n, 2), 4)
    assert seen == sizes
