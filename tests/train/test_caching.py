"""Gradient caching equals the whole batch; accumulation does not."""

import pytest
import torch
from torch import nn

from likewise.core.batch import Batch
from likewise.core.learner import Step
from likewise.train.caching import cached_gradients


class Net(nn.Module):
    def __init__(self, norm=False, dropout=0.0):
        super().__init__()
        layers = [nn.Linear(5, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.ReLU(), nn.Dropout(dropout)]
        self.net = nn.Sequential(*layers, nn.Linear(8, 4))
        self.scale = nn.Parameter(torch.ones(1))

    def encode(self, batch):
        return {"a": self.net(batch.views["a"]), "teacher": self.net(batch.views["b"]).detach()}

    def objective(self, z):
        logits = self.scale * z["a"] @ z["teacher"].T
        loss = nn.functional.cross_entropy(logits, torch.arange(len(logits)))
        return Step(loss, {"seen": loss.detach()}, {"keys": z["teacher"].detach()})


def _batch(n=10):
    return Batch({"a": torch.randn(n, 5), "b": torch.randn(n, 5)}, torch.arange(n))


def _cached(net, batch, micro):
    return cached_gradients(
        net, batch, micro, encode=net.encode, objective=net.objective, backward=lambda loss: loss.backward(),
        reseed=torch.manual_seed,
    )  # fmt: skip


@pytest.mark.parametrize("micro", [1, 3, 4, 9])
def test_equals_the_whole_batch(micro):
    torch.manual_seed(0)
    net, batch = Net().double(), _batch()
    batch.views = {k: v.double() for k, v in batch.views.items()}
    whole = net.objective(net.encode(batch))
    whole.loss.backward()
    expected = {n: p.grad.clone() for n, p in net.named_parameters()}
    net.zero_grad()
    out = _cached(net, batch, micro)
    assert torch.allclose(out.loss, whole.loss, atol=1e-12)
    assert torch.allclose(out.carry["keys"], whole.carry["keys"], atol=1e-12)
    for name, p in net.named_parameters():
        assert torch.allclose(p.grad, expected[name], atol=1e-12), name


def test_differs_from_accumulating_small_batches():
    torch.manual_seed(0)
    net, batch = Net(), _batch()
    out = _cached(net, batch, 5)
    cached = net.net[0].weight.grad.clone()
    net.zero_grad()
    for chunk in batch.chunks(5):
        (net.objective(net.encode(chunk)).loss / 2).backward()
    assert not torch.allclose(cached, net.net[0].weight.grad, atol=1e-3)
    assert out.loss > 0


def test_both_passes_draw_the_same_dropout():
    torch.manual_seed(0)
    net, batch = Net(dropout=0.5), _batch()
    _cached(net, batch, 5)
    first = net.net[0].weight.grad.clone()
    net.zero_grad()
    # by hand, with the seeds of the chunks
    z = []
    for number, chunk in enumerate(batch.chunks(5)):
        torch.manual_seed(number)
        z.append(net.encode(chunk))
    net.objective({k: torch.cat([part[k] for part in z]) for k in z[0]}).loss.backward()
    assert torch.allclose(first, net.net[0].weight.grad, atol=1e-6)


def test_running_statistics_are_updated_once_per_chunk():
    torch.manual_seed(0)
    net, batch = Net(norm=True), _batch()
    _cached(net, batch, 5)
    assert net.net[1].num_batches_tracked == 4  # two chunks, two views
    assert net.net[1].track_running_stats
    assert net.net[1].running_mean.abs().sum() > 0


def test_memory_is_that_of_a_chunk():
    net, batch = Net(), _batch(64)
    seen = []
    net.net[0].register_forward_hook(lambda _m, _i, out: seen.append((len(out), out.requires_grad)))
    _cached(net, batch, 8)
    assert {rows for rows, _ in seen} == {8}
