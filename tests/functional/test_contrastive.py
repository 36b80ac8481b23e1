import pytest
import slow_contrastive as slow
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize, softplus
from torch.testing import assert_close

from likewise import functional as fast
from likewise import losses, similarity
from likewise.core.errors import InputError

MODES = ("dense", "tiled", "auto")


def rows(*shape, seed=0):
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1)


def value_and_gradients(function, *inputs):
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    weights = torch.linspace(1, 2, out.numel(), dtype=out.dtype)  # another gradient for each anchor
    total = (out.flatten() * weights).sum()
    grads = torch.autograd.grad(total, leaves, allow_unused=True)
    return out.detach(), *[torch.zeros_like(x) if g is None else g for g, x in zip(grads, leaves)]


def same_as_loops(ours, loops, *inputs):
    expected = value_and_gradients(loops, *inputs)
    for mode in MODES:
        with similarity.using(mode):
            found = value_and_gradients(ours, *inputs)
        for ours_, theirs in zip(found, expected):
            assert_close(ours_, theirs, rtol=1e-9, atol=1e-10)


def batches():
    """Rows with ids that may repeat, down to a batch of one."""
    return st.tuples(st.integers(1, 6), st.integers(1, 7), st.integers(0, 99)).map(
        lambda x: (x[0], torch.randint(0, x[1], (x[0],), generator=torch.Generator().manual_seed(x[2])), x[2])
    )


temperatures = st.sampled_from([1.0, 0.5, 0.1, 0.05])
few = settings(max_examples=15, deadline=None)


@few
@given(batches(), temperatures)
def test_nt_xent(batch, tau):
    n, ids, seed = batch
    a, b = rows(2, n, 3, seed=seed)
    same_as_loops(
        lambda a, b: fast.nt_xent(a, b, temperature=tau, ids=ids), lambda a, b: slow.nt_xent(a, b, ids, tau), a, b
    )


@few
@given(batches(), temperatures, st.sampled_from([None, 0.5, 0.1]))
def test_decoupled_nce(batch, tau, sigma):
    n, ids, seed = batch
    a, b = rows(2, n, 3, seed=seed)
    same_as_loops(
        lambda a, b: fast.decoupled_nce(a, b, temperature=tau, sigma=sigma, detach_weight=False, ids=ids),
        lambda a, b: slow.decoupled(a, b, ids, tau, sigma),
        a,
        b,
    )


@few
@given(batches(), temperatures, st.sampled_from(["all", "one"]), st.integers(1, 3))
def test_sup_con(batch, tau, anchors, num_views):
    n, labels, seed = batch
    views = rows(num_views, n, 3, seed=seed)
    same_as_loops(
        lambda *v: fast.sup_con(v, labels, temperature=tau, base_temperature=0.3, anchors=anchors),
        lambda *v: slow.sup_con(v, labels, tau, 0.3, anchors),
        *views,
    )


@few
@given(batches(), temperatures, st.sampled_from(["batch", "bank", "bank with ids"]))
def test_info_nce(batch, tau, negatives):
    n, ids, seed = batch
    q, k = rows(2, n, 3, seed=seed)
    bank = rows(5, 3, seed=seed + 1)
    bank_ids = torch.tensor([0, 1, 2, 3, 90]) if negatives == "bank with ids" else None
    if negatives == "batch":
        same_as_loops(
            lambda q, k: fast.info_nce(q, k, temperature=tau, ids=ids),
            lambda q, k: slow.info_nce(q, k, ids, tau),
            q,
            k,
        )
    else:
        same_as_loops(
            lambda q, k, c: fast.info_nce(q, k, c, temperature=tau, ids=ids, negative_ids=bank_ids),
            lambda q, k, c: slow.info_nce(q, k, ids, tau, c, bank_ids),
            q,
            k,
            bank,
        )


@few
@given(batches(), st.sampled_from([1.0, 20.0, 100.0]))
def test_clip(batch, scale):
    n, ids, seed = batch
    x, y = rows(2, n, 3, seed=seed)
    s = torch.tensor([scale], dtype=torch.float64)
    same_as_loops(
        lambda x, y, s: fast.clip(x, y, s, ids=ids), lambda x, y, s: slow.clip(x, y, ids, s).flatten(), x, y, s
    )


@few
@given(batches(), temperatures, st.sampled_from([0.0, 0.1, 0.9]), st.sampled_from([0.0, 0.5, 2.0]))
def test_hard_negative_nce(batch, tau, tau_plus, beta):
    n, ids, seed = batch
    a, b = rows(2, n, 3, seed=seed)
    same_as_loops(
        lambda a, b: fast.hard_negative_nce(a, b, temperature=tau, tau_plus=tau_plus, beta=beta, ids=ids),
        lambda a, b: slow.hard_negative(a, b, ids, tau, tau_plus, beta),
        a,
        b,
    )


@few
@given(batches(), st.sampled_from([0.5, 2.0]))
def test_uniformity(batch, t):
    n, ids, seed = batch
    z = rows(n, 3, seed=seed)
    same_as_loops(lambda z: fast.uniformity(3 * z, t=t, ids=ids), lambda z: slow.uniformity(3 * z, ids, t), z)
    same_as_loops(  # rows that promise to be of unit length get the gradient on the sphere
        lambda z: fast.uniformity(normalize(z, dim=1), t=t, ids=ids, unit=True),
        lambda z: slow.uniformity(normalize(z, dim=1), ids, t),
        z,
    )


@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
def test_alignment(alpha):
    a, b = rows(2, 5, 3)
    same_as_loops(
        lambda a, b: fast.alignment(a, b, alpha=alpha),
        lambda a, b: torch.stack([(x - y).square().sum().sqrt() ** alpha for x, y in zip(a, b)]),
        a,
        b,
    )
    z = a.clone().requires_grad_()
    fast.alignment(z, z.detach(), alpha=alpha).sum().backward()
    assert z.grad.abs().sum() == 0


@few
@given(batches(), st.booleans())
def test_prototype_nce(batch, draws):
    n, ids, seed = batch
    q, prototypes = rows(n, 3, seed=seed), rows(9, 3, seed=seed + 1)
    assignment = ids % 4
    density = torch.linspace(0.1, 1, 9, dtype=torch.float64)
    negatives = torch.tensor([8, 5]) if draws else None
    left = [8, 5] if draws else [k for k in range(9) if k not in assignment]
    same_as_loops(
        lambda q, p, d: fast.prototype_nce(q, p, assignment, d, negatives, ids=ids),
        lambda q, p, d: slow.prototype_nce(q, p, assignment, d, left, ids),
        q,
        prototypes,
        density,
    )


# ---- relations between equations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_relations(mode):
    a, b = rows(2, 7, 4)
    options = {"temperature": 0.2, "similarity": mode}
    nt_xent = fast.nt_xent(a, b, **options)
    assert_close(softplus(fast.decoupled_nce(a, b, **options)), nt_xent)
    assert_close(fast.hard_negative_nce(a, b, tau_plus=0.0, beta=0.0, **options), nt_xent)
    assert_close(fast.sup_con([a, b], torch.arange(7), base_temperature=0.2, **options), nt_xent)
    pairs = fast.clip(a, b, 5.0, similarity=mode)
    assert_close((fast.info_nce(a, b, **options) + fast.info_nce(b, a, **options)) / 2, pairs)


def each_loss():
    yield losses.NTXent(0.3)
    yield losses.DCL(0.3, sigma=0.5)
    yield losses.HardNegative(0.3)
    yield losses.AlignmentUniformity()
    yield losses.InfoNCE(0.3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("loss", list(each_loss()), ids=repr)
def test_invariances(loss, mode):
    a, b = rows(2, 9, 4)
    ids = torch.tensor([0, 1, 2, 3, 4, 4, 6, 7, 0])
    order, turn = torch.randperm(9), torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    with similarity.using(mode):
        value = loss(a, b, ids=ids)
        assert_close(loss(a[order], b[order], ids=ids[order]), value)
        assert_close(loss(3 * a @ turn, 0.1 * b @ turn, ids=ids), value)
        assert_close(loss(a, b, ids=-5 * ids), value)
        if not isinstance(loss, losses.InfoNCE):
            assert_close(loss(b, a, ids=ids), value)


# ---- cases that break others ---------------------------------------------------------------------------------------


def awkward():
    z = torch.randn(2, 6, 4)
    yield "batch of one", z[:, :1], torch.tensor([0])
    yield "one sample only", z, torch.zeros(6, dtype=torch.int64)
    yield "identical rows", z[:1, :1].expand(2, 6, 4), torch.arange(6)
    yield "zero rows", torch.zeros(2, 6, 4), torch.arange(6)
    yield "opposite views", torch.stack([z[0], -z[0]]), torch.arange(6)
    yield "half precision", z.half(), torch.arange(6)
    yield "bfloat16", z.bfloat16(), torch.arange(6)
    yield "large", z * 1e15, torch.arange(6)


def awkward_losses():
    for tau in (0.005, 0.5):
        yield losses.NTXent(tau)
        yield losses.DCL(tau, sigma=0.5)
        yield losses.DCL(tau, sigma=0.5, detach_weight=False)
        yield losses.HardNegative(tau)
        yield losses.InfoNCE(tau)
        yield losses.SupCon(tau)
        yield losses.SupCon(tau, anchors="one")
    yield losses.AlignmentUniformity()
    yield losses.CLIP()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("loss", list(awkward_losses()), ids=repr)
@pytest.mark.parametrize(("name", "views", "ids"), list(awkward()), ids=lambda x: x if isinstance(x, str) else "")
def test_awkward_batches_give_numbers(loss, name, views, ids, mode):
    a, b = (v.clone().requires_grad_() for v in views)
    with similarity.using(mode):
        if isinstance(loss, losses.SupCon):
            value = loss([a, b], ids)
        elif isinstance(loss, losses.CLIP):
            value = loss(a, b, 200.0, ids=ids)
        else:
            value = loss(a, b, ids=ids)
    value.backward()
    assert value.isfinite()
    assert a.grad.isfinite().all()
    assert b.grad.isfinite().all()


@pytest.mark.parametrize("mode", MODES)
def test_empty_cases_cost_nothing(mode):
    a, b = (v.requires_grad_() for v in rows(2, 4, 3))
    one = torch.zeros(4, dtype=torch.int64)
    with similarity.using(mode):
        for n, ids in ((1, torch.tensor([3])), (1, None), (4, one)):
            for loss in (losses.NTXent(), losses.DCL(), losses.HardNegative(), losses.InfoNCE()):
                value = loss(a[:n], b[:n], ids=ids)
                grads = torch.autograd.grad(value, (a, b))
                assert_close(value.item(), 0.0, rtol=0, atol=1e-12)
                assert all(g.abs().max() < 1e-12 for g in grads)
        # no positives anywhere: single views with labels of their own
        assert losses.SupCon()([a], torch.arange(4)).item() == 0
        # alignment still counts where there is nothing to spread
        assert_close(losses.AlignmentUniformity()(a[:1], b[:1]), (a[0] - b[0]).square().sum())


def test_autocast_does_not_reach_the_equations():
    a, b = torch.randn(2, 64, 16).unbind()
    for loss in (losses.NTXent(0.05), losses.DCL(0.05), losses.HardNegative()):
        for mode in MODES:
            with similarity.using(mode):
                expected = loss(a, b)
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    assert_close(loss(a, b), expected, rtol=1e-6, atol=1e-6)


# ---- modules ---------------------------------------------------------------------------------------------------------


def test_modules_normalise_and_average():
    a, b = torch.randn(2, 6, 4, dtype=torch.float64)
    u, v = normalize(a, dim=1), normalize(b, dim=1)
    labels = torch.tensor([0, 0, 1, 1, 2, 3])
    assert_close(losses.NTXent(0.3)(a, b), fast.nt_xent(u, v, temperature=0.3).mean())
    assert_close(losses.InfoNCE(0.3, scale_by_temperature=True)(a, b), 0.6 * losses.InfoNCE(0.3)(a, b))
    both = losses.SupCon()([a, b], labels)
    assert_close(losses.SupCon()(torch.stack([a, b], 1), labels), both)
    assert_close(losses.SupCon(0.07)([a, b]), losses.NTXent(0.07)(a, b))
    assert_close(losses.SupCon()([a, b], ids=labels), both)
    weighted = losses.DCL(0.3, sigma=0.5)
    assert_close(weighted(a, b), fast.decoupled_nce(u, v, temperature=0.3, sigma=0.5).mean())
    assert_close(
        losses.AlignmentUniformity(weights=(0.5, 3.0))(a, b),
        0.5 * (u - v).square().sum(1).mean() + 3 * (fast.uniformity(u) + fast.uniformity(v)) / 2,
    )


def test_weights_of_dclw_are_constants_unless_asked():
    a, b = (v.requires_grad_() for v in rows(2, 5, 3))
    (plain,) = torch.autograd.grad(losses.DCL(0.3, sigma=0.2)(a, b), a)
    (through,) = torch.autograd.grad(losses.DCL(0.3, sigma=0.2, detach_weight=False)(a, b), a)
    assert not torch.allclose(plain, through)


def test_logit_scale_learns_within_bounds():
    scale = losses.LogitScale(0.07)
    assert_close(scale(), torch.tensor([1 / 0.07]))
    losses.CLIP()(torch.randn(5, 3), torch.randn(5, 3), scale()).backward()
    assert scale.log_scale.grad.shape == (1,)
    for start, end in ((9.0, 100.0), (-3.0, 1.0)):
        scale.log_scale.data.fill_(start)
        scale.clamp_()
        assert_close(scale(), torch.tensor([end]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.NTXent(0), "NTXent: temperature must be a number above 0, got 0"),
        (lambda: losses.NTXent(float("nan")), "temperature"),
        (lambda: losses.NTXent(float("inf")), "temperature"),
        (lambda: losses.DCL(-0.1), "DCL: temperature"),
        (lambda: losses.DCL(sigma=0.0), "DCL: sigma"),
        (lambda: losses.SupCon(base_temperature=0), "base_temperature"),
        (lambda: losses.SupCon(anchors="some"), "'all' or 'one'"),
        (lambda: losses.InfoNCE(0.0), "InfoNCE: temperature"),
        (lambda: losses.HardNegative(tau_plus=1.0), "tau_plus"),
        (lambda: losses.HardNegative(beta=-1.0), "beta"),
        (lambda: losses.AlignmentUniformity(t=0.0), "t must be"),
        (lambda: losses.LogitScale(0.0), "LogitScale: temperature"),
        (lambda: losses.CLIP(similarity="tilde"), "did you mean 'tiled'"),
        (lambda: losses.InfoNCE()(rows(2, 3), rows(2, 3), negative_ids=torch.arange(2)), "need ids and negatives"),
    ],
)
def test_settings_are_checked_in_one_line(make, message):
    with pytest.raises(InputError, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_shapes_are_checked_under_test():
    with pytest.raises(TypeError):
        fast.nt_xent(torch.zeros(3, 2), torch.zeros(2, 2), temperature=0.1)
    fast.check_shapes(False)
    try:
        with pytest.raises(InputError, match="3x2 and 2x2"):
            fast.nt_xent(torch.zeros(3, 2), torch.zeros(2, 2), temperature=0.1)
    finally:
        fast.check_shapes(True)
