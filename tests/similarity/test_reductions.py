import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from whole_matrix import judge, leaves, lse, pulled, unit

from likewise import similarity
from likewise.core.errors import InputError
from likewise.similarity import (
    Columns,
    Different,
    Kernel,
    Listed,
    ListedBias,
    Own,
    Same,
    Self,
    Term,
    attend,
    both_cross_entropy,
    both_lse,
    combine,
    cross_entropy,
    row_lse,
    same_sum,
    sweep,
    unit_rows,
    weighted_sum,
)

CLOSE = {"rtol": 1e-9, "atol": 1e-10}


def distance(x, y):
    return -(x[:, None] - y[None]).square().sum(-1)


@st.composite
def problems(draw, same_set=None):
    """Rows, rules, and the dense drop and bias matrices that they stand for."""
    same_set = draw(st.booleans()) if same_set is None else same_set
    n, d = draw(st.integers(1, 19)), draw(st.integers(1, 5))
    m = n if same_set else draw(st.integers(1, 19))
    seed = draw(st.integers(0, 999))
    g = torch.Generator().manual_seed(seed)
    a = unit(n, d, seed=seed) * draw(st.sampled_from([1.0, 1.0, 3.0]))
    c = a if same_set else unit(m, d, seed=seed + 1)
    keys_a = torch.randint(0, draw(st.sampled_from([1, 3, 50])), (n,), generator=g)
    keys_c = keys_a if same_set else torch.randint(0, 4, (m,), generator=g)
    index = torch.randint(0, m, (n,), generator=g)
    side_a, side_c = torch.randn(n, 2, generator=g).double(), torch.randn(m, 2, generator=g).double()
    at = torch.randint(0, n, (5,), generator=g), torch.randint(0, m, (5,), generator=g)
    extra = torch.randn(5, generator=g).double()
    drop, bias = torch.zeros(n, m, dtype=torch.bool), torch.zeros(n, m, dtype=torch.float64)
    rules, biases = [], []
    for name in draw(st.lists(st.sampled_from(["self", "same", "keep", "own", "listed", "different"]), unique=True)):
        if name == "self":
            rules.append(Self())
            drop |= judge(n, m, lambda i, j: i == j)
        elif name == "same":
            rules.append(Same(keys_a, keys_c, limit=draw(st.sampled_from([0, 16]))))
            drop |= judge(n, m, lambda i, j: keys_a[i] == keys_c[j])
        elif name == "keep":
            rules.append(Same(keys_a, keys_c, keep=index, limit=draw(st.sampled_from([0, 16]))))
            drop |= judge(n, m, lambda i, j: keys_a[i] == keys_c[j] and j != index[i])
        elif name == "own":
            rules.append(Own(index))
            drop |= judge(n, m, lambda i, j: j == index[i])
        elif name == "listed":
            rules.append(Listed(*at))
            drop[at] = True
        else:
            rules.append(Different(keys_a, keys_c))
            drop |= judge(n, m, lambda i, j: keys_a[i] != keys_c[j])
    for name in draw(st.lists(st.sampled_from(["kernel", "columns", "listed"]), unique=True, max_size=2)):
        if name == "kernel":
            biases.append(Kernel(side_a, side_c, distance))
            bias = bias + distance(side_a, side_c)
        elif name == "columns":
            biases.append(Columns(side_c[:, 0]))
            bias = bias + side_c[None, :, 0]
        else:
            biases.append(ListedBias(*at, extra))
            bias = bias.index_put(at, extra, accumulate=True)
    tile = draw(st.sampled_from([1, 2, 3, 5, 8, 64]))
    return a, None if same_set else c, rules, biases, drop, bias, tile


scales = st.sampled_from([0.0, 0.5, 14.0, 100.0, 200.0, -3.0])


@settings(max_examples=120, deadline=None)
@given(problems(), scales, st.booleans())
def test_row_log_sum_exp_is_that_of_the_matrix(problem, scale, learned):
    a, c, rules, biases, drop, bias, tile = problem
    outs, grads = [], []
    for tiled in (False, True):
        s = torch.tensor([scale], dtype=torch.float64, requires_grad=True)
        x, *rest = leaves(a, *([] if c is None else [c]))
        y = rest[0] if rest else x
        if tiled:
            given_scale = s if learned else scale
            out = row_lse(x, rest[0] if rest else None, scale=given_scale, drop=rules, bias=biases, tile=tile)
        else:
            out = lse(s * (x @ y.T) + bias, drop, 1)
        outs.append(out)
        grads.append(pulled([out], [x, *rest, *([s] if learned else [])]))
    assert_close(outs[1], outs[0], **CLOSE)
    for ours, expected in zip(grads[1], grads[0]):
        assert_close(ours, expected, rtol=1e-8, atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(problems(), scales, st.booleans(), st.booleans())
def test_cross_entropy_with_a_target_per_anchor(problem, scale, learned, constant):
    a, c, rules, _, drop, _, tile = problem
    target = torch.arange(len(a)).flip(0) % drop.shape[1]
    results = []
    for tiled in (False, True):
        s = torch.tensor([scale], dtype=torch.float64, requires_grad=True)
        x, *rest = leaves(a, *([] if c is None else [c]))
        if constant and rest:
            rest = [rest[0].detach()]
        y = rest[0] if rest else x
        if tiled:
            options = {"scale": s if learned else scale, "drop": rules, "tile": tile}
            out = cross_entropy(x, rest[0] if rest else None, target, **options)
        else:
            logits = s * (x @ y.T)
            out = lse(logits, drop, 1) - logits.gather(1, target[:, None])[:, 0]
        inputs = [x, *(r for r in rest if r.requires_grad), *([s] if learned else [])]
        results.append((out, *pulled([out], inputs)))
    for ours, expected in zip(results[1], results[0]):
        assert_close(ours, expected, rtol=1e-8, atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(problems(same_set=False), scales, st.booleans(), st.booleans())
def test_rows_and_columns_come_from_one_sweep(problem, scale, by_row, by_col):
    a, c, rules, biases, drop, bias, tile = problem
    results = []
    for tiled in (False, True):
        s = torch.tensor(scale, dtype=torch.float64, requires_grad=True)
        x, y = leaves(a, c)
        if tiled:
            rows, cols = both_lse(x, y, scale=s, drop=rules, bias=biases, tile=tile)
        else:
            logits = s * (x @ y.T) + bias
            rows, cols = lse(logits, drop, 1), lse(logits, drop, 0)
        # a loss may use only one of the two
        used = [rows] * by_row + [cols] * by_col
        results.append((rows, cols, *pulled(used, [x, y, s])))
    for ours, expected in zip(results[1], results[0]):
        assert_close(ours, expected, rtol=1e-8, atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(problems(), st.lists(scales, min_size=2, max_size=3), st.booleans())
def test_several_temperatures_and_rules_in_one_sweep(problem, several, learned):
    a, c, rules, biases, drop, bias, tile = problem
    results = []
    for tiled in (False, True):
        x, *rest = leaves(a, *([] if c is None else [c]))
        y = rest[0] if rest else x
        s = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in several]
        if tiled:
            terms = [Term(v if learned else w, rules, biases) for v, w in zip(s[:-1], several)]
            outs = sweep(x, rest[0] if rest else None, [*terms, Term(s[-1], [Self()])], tile=tile)
        else:
            outs = [lse(v * (x @ y.T) + bias, drop, 1) for v in s[:-1]]
            outs.append(lse(s[-1] * (x @ y.T), judge(*drop.shape, lambda i, j: i == j), 1))
        results.append((*outs, *pulled(outs, [x, *rest, *(s if learned else s[-1:])])))
    for ours, expected in zip(results[1], results[0]):
        assert_close(ours, expected, rtol=1e-8, atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(problems(), st.lists(scales, min_size=2, max_size=3), st.lists(st.booleans(), min_size=3, max_size=3))
def test_several_fixed_temperatures(problem, several, used):
    a, c, rules, biases, drop, bias, tile = problem
    results = []
    for tiled in (False, True):
        x, *rest = leaves(a, *([] if c is None else [c]))
        y = rest[0] if rest else x
        if tiled:
            outs = sweep(x, rest[0] if rest else None, [Term(v, rules, biases) for v in several], tile=tile)
        else:
            outs = [lse(v * (x @ y.T) + bias, drop, 1) for v in several]
        results.append((*outs, *pulled([out for out, use in zip(outs, used) if use] or outs, [x, *rest])))
    for ours, expected in zip(results[1], results[0]):
        assert_close(ours, expected, rtol=1e-8, atol=1e-8)


@settings(max_examples=80, deadline=None)
@given(problems(same_set=False), scales, st.booleans(), st.sampled_from(["auto", "tiled", "dense"]))
def test_cross_entropy_of_both_directions(problem, scale, learned, mode):
    a, c, rules, _, drop, _, tile = problem
    n = min(len(a), len(c))
    a, c, drop = a[:n], c[:n], drop[:n, :n]
    rules = [Listed(*drop.nonzero().unbind(1))]
    results = []
    for ours in (False, True):
        s = torch.tensor([scale], dtype=torch.float64, requires_grad=True)
        x, y = leaves(a, c)
        if ours:
            options = {"scale": s if learned else scale, "drop": rules, "similarity": mode}
            outs = both_cross_entropy(x, y, **options, tile=tile if mode == "tiled" else None)
        else:
            logits = s * (x @ y.T)
            outs = [lse(logits, drop, dim) - logits.diagonal() for dim in (1, 0)]
        results.append((*outs, *pulled(outs, [x, y, *([s] if learned else [])])))
    for found, expected in zip(results[1], results[0]):
        assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 5, 60, 140])
@pytest.mark.parametrize("scale", [2.0, 200.0])
@pytest.mark.parametrize("keys", ["none", "some", "one"])
def test_small_batches_take_another_path_to_the_same_numbers(n, scale, keys):
    partner = torch.arange(2 * n).roll(n)
    labels = None if keys == "none" else torch.arange(n).repeat(2) % (1 if keys == "one" else max(1, n // 2))
    drops = [[Self()], [Self(), Own(partner, mutual=True)]]
    if labels is not None:
        drops = [[Same(labels, labels, keep=partner, mutual=True)], [Same(labels, labels)]]
    for drop in drops:
        results = []
        for mode in ("auto", "tiled"):
            (x,) = leaves(unit(2 * n, 4))
            out = cross_entropy(x, None, partner, scale=scale, drop=drop, similarity=mode)
            results.append((out, *pulled([out], [x])))
        for ours, expected in zip(*results):
            assert_close(ours, expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=80, deadline=None)
@given(problems(), scales, st.booleans(), st.sampled_from(["lse", "mean", "both"]), st.booleans())
def test_softmax_weighted_means(problem, scale, own_values, use, constant):
    a, c, rules, biases, drop, bias, tile = problem
    c = a if c is None else c
    v = torch.randn(len(c), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    results = []
    for tiled in (False, True):
        s = torch.tensor(scale, dtype=torch.float64, requires_grad=True)
        x, y, w = leaves(a, c, v)
        y = y.detach() if constant else y
        values = y if own_values else w
        if tiled:
            rows, mean = attend(x, y, None if own_values else w, scale=s, drop=rules, bias=biases, tile=tile)
        else:
            logits = s * (x @ y.T) + bias
            rows = lse(logits, drop, 1)
            weights = (logits.masked_fill(drop, -torch.inf) - torch.where(rows > -torch.inf, rows, 0.0)[:, None]).exp()
            mean = weights @ values
        used = {"lse": [rows], "mean": [mean], "both": [rows, mean]}[use]
        inputs = [x, s, *([] if constant else [y]), *([] if own_values else [w])]
        results.append((rows, mean, *pulled(used, inputs)))
    for ours, expected in zip(results[1], results[0]):
        assert_close(ours, expected, rtol=1e-8, atol=1e-8)


@settings(max_examples=40, deadline=None)
@given(problems())
def test_weighted_sums(problem):
    a, c, rules, biases, _, _, tile = problem
    c = a if c is None else c
    for rule in (*rules, *biases):
        weights = rule.tile(slice(0, len(a)), slice(0, len(c))).double()
        x, y = leaves(c, c)
        ours, expected = weighted_sum(len(a), x, rule, tile=tile), weights @ y
        assert_close(ours, expected, **CLOSE)
        assert_close(pulled([ours], [x]), pulled([expected], [y]), **CLOSE)


def test_sums_over_equal_keys():
    c = unit(9, 3)
    rows, cols = torch.tensor([5, 7, 5, -1]), torch.tensor([5, 5, 2, 2, 7, 5, 9, 9, 9])
    total, count = same_sum(rows, c, cols)
    assert count.tolist() == [3, 1, 3, 0]
    assert_close(total, (rows[:, None] == cols).double() @ c)


def test_banks_join_into_one_candidate_set():
    a, bank = leaves(unit(5, 4), unit(7, 4, seed=1))
    queue = unit(6, 4, seed=2)
    joined = combine(row_lse(a, bank, scale=9.0), row_lse(a, queue, scale=9.0), row_lse(a, scale=9.0, drop=[Self()]))
    logits = torch.cat([a @ bank.T, a @ queue.T, a @ a.T], 1) * 9.0
    drop = torch.cat([torch.zeros(5, 13, dtype=torch.bool), torch.eye(5, dtype=torch.bool)], 1)
    expected = lse(logits, drop, 1)
    assert_close(joined, expected, **CLOSE)
    for ours, right in zip(pulled([joined], [a, bank]), pulled([expected], [a, bank])):
        assert_close(ours, right, **CLOSE)
    nothing = torch.full((3,), -torch.inf, requires_grad=True)
    combine(nothing, nothing).masked_fill(torch.ones(3, dtype=torch.bool), 0.0).sum().backward()
    assert nothing.grad.tolist() == [0, 0, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(problems(same_set=False), st.booleans()), min_size=1, max_size=3), scales)
def test_any_number_of_banks_with_and_without_gradient(banks, scale):
    (first, *_), _ = banks[0]
    n, d = first.shape
    results = []
    for tiled in (False, True):
        s = torch.tensor(scale, dtype=torch.float64, requires_grad=True)
        (x,) = leaves(first)
        parts, drops, learning = [], [], []
        for (_, c, _, biases, _, bias, tile), learns in banks:
            m = len(c)
            y = unit(m, d, seed=m)
            y = y.requires_grad_() if learns else y
            learning += [y] if learns else []
            rule = Different(torch.arange(n) % 2, torch.arange(m) % 2)
            drop = rule.tile(slice(0, n), slice(0, m))
            fits = bias.shape[0] == n
            if tiled:
                parts.append(row_lse(x, y, scale=s, drop=[rule], bias=biases if fits else [], tile=tile))
            else:
                parts.append(s * (x @ y.T) + (bias if fits else 0.0))
                drops.append(drop)
        out = combine(*parts) if tiled else lse(torch.cat(parts, 1), torch.cat(drops, 1), 1)
        results.append((out, *pulled([out], [x, s, *learning])))
    for ours, expected in zip(*results):
        assert_close(ours, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("tile", [2, 64, None])
def test_weights_of_pairs_are_biases_of_their_logarithm(tile):
    a, c = leaves(unit(6, 3), unit(5, 3, seed=1))
    side_a, side_c = unit(6, 2, seed=2), unit(5, 2, seed=3)
    at, listed = (torch.tensor([0, 3, 5]), torch.tensor([4, 0, 0])), torch.tensor([0.25, 0.0, 3.0]).double()
    kernel = Kernel(side_a, side_c, lambda x, y: (x @ y.T).clamp(min=0).log())  # weight 0: the pair does not count
    weights = (side_a @ side_c.T).clamp(min=0)
    weights = weights.index_put(at, weights[at] * listed)
    ours = row_lse(a, c, scale=5.0, bias=[kernel, ListedBias(*at, listed.log())], tile=tile)
    total = (weights * (5 * a @ c.T).exp()).sum(1)
    assert (total > 0).all()
    assert (weights == 0).any()
    assert_close(ours, total.log(), **CLOSE)
    for found, expected in zip(pulled([ours], [a, c]), pulled([total.log()], [a, c])):
        assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("tile", [2, 3, 64])
@pytest.mark.parametrize("scale", [1.0, 20.0, 200.0])
@pytest.mark.parametrize("rows", ["identical", "opposite", "one label", "one row"])
def test_batches_that_break_others(rows, scale, tile):
    a, c = {
        "identical": (unit(1, 3).expand(7, 3), unit(1, 3).expand(5, 3)),
        "opposite": (unit(1, 3).expand(7, 3), -unit(1, 3).expand(5, 3)),
        "one label": (unit(7, 3), unit(5, 3, seed=1)),
        "one row": (unit(1, 3), unit(1, 3, seed=1)),
    }[rows]
    one = torch.zeros(7, dtype=torch.int64)
    keys = (one[: len(a)], one[: len(c)]) if rows == "one label" else (torch.arange(len(a)), torch.arange(len(c)))
    drop = judge(len(a), len(c), lambda i, j: keys[0][i] == keys[1][j])
    results = []
    for dtype in (torch.float64, torch.float32):
        x, y = leaves(a.to(dtype), c.to(dtype))
        if dtype == torch.float32:
            outs = both_lse(x, y, scale=scale, drop=[Same(*keys)], tile=tile)
        else:
            outs = [lse(scale * (x @ y.T), drop, dim) for dim in (1, 0)]
        results.append([t.double() for t in (*outs, *pulled(outs, [x, y]))])
    for expected, ours in zip(*results):
        assert_close(ours, expected, rtol=1e-5, atol=1e-5 * scale)


@settings(max_examples=40, deadline=None)
@given(problems(), scales, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_of_sides_does_not_matter(problem, scale, random):
    a, c, _, _, drop, bias, tile = problem
    c = a if c is None else c
    n, m = drop.shape
    rows, cols = torch.tensor(random.sample(range(n), n)), torch.tensor(random.sample(range(m), m))

    def reduced(x, y, dropped, added):
        at = dropped.nonzero().unbind(1)
        every = torch.ones(added.shape).nonzero().unbind(1)
        rules = {"drop": [Listed(*at)], "bias": [ListedBias(*every, added.flatten())]}
        return both_lse(x, y, scale=scale, tile=tile, **rules)

    by_row, by_col = reduced(a, c, drop, bias)
    permuted = reduced(a[rows], c[cols], drop[rows][:, cols], bias[rows][:, cols])
    assert_close(permuted[0], by_row[rows], **CLOSE)
    assert_close(permuted[1], by_col[cols], **CLOSE)
    swapped = reduced(c, a, drop.T, bias.T.contiguous())
    assert_close(swapped[0], by_col, **CLOSE)
    assert_close(swapped[1], by_row, **CLOSE)


@pytest.mark.parametrize("mode", ["tiled", "dense"])
def test_gradients_agree_with_differences_once_and_twice(mode):
    a, c, s = leaves(unit(5, 3), unit(4, 3, seed=1), torch.tensor([3.0], dtype=torch.float64))
    keys = torch.tensor([0, 1, 0, 2, 2])
    rules = {"drop": [Same(keys, keys[:4])], "similarity": mode, "tile": 2}
    same = [Same(keys, keys), Self()]
    one_sided = [Listed(torch.tensor([0, 1, 1, 1, 1, 1]), torch.tensor([2, 0, 1, 2, 3, 4]))]

    def reductions(a, c, s):
        one = row_lse(a, scale=s, drop=same, similarity=mode, tile=2)
        two = torch.cat(both_lse(a, c, scale=s, **rules))
        three = torch.cat(sweep(a, c, [Term(s), Term(2.0)], similarity=mode, tile=2))
        four = torch.cat([x.flatten() for x in attend(a, c, scale=s, **rules)])
        six = cross_entropy(a, None, keys, scale=s, drop=same, similarity=mode, tile=9)
        seven = row_lse(a, scale=s, drop=one_sided, similarity=mode, tile=9)[[0, 2, 3, 4]]
        eight = row_lse(a, scale=s, drop=one_sided, similarity=mode, tile=2)[[0, 2, 3, 4]]
        five = weighted_sum(5, c, Different(keys, keys[:4]), similarity=mode, tile=2).flatten()
        return torch.cat([one, two, three, four, five, six, seven, eight])

    assert torch.autograd.gradcheck(reductions, (a, c, s))
    assert torch.autograd.gradgradcheck(reductions, (a, c, s))


def test_unit_rows_are_those_of_normalize():
    z = torch.randn(6, 4, dtype=torch.float64)
    z[2] = 0
    z[3] *= 1e-30
    (x,), (y,) = leaves(z), leaves(z)
    ours, expected = unit_rows(x), torch.nn.functional.normalize(y, dim=1)
    assert_close(ours, expected)
    assert_close(pulled([ours], [x]), pulled([expected], [y]))
    (x,) = leaves(z[:2])
    assert torch.autograd.gradcheck(unit_rows, x)
    assert torch.autograd.gradgradcheck(unit_rows, x)
    assert unit_rows(z.half()).dtype == torch.float32


def test_a_backward_pass_can_be_repeated():
    (a,) = leaves(unit(9, 3))
    loss = row_lse(a, scale=5.0, drop=[Self()], tile=4).sum()
    (first,) = torch.autograd.grad(loss, a, retain_graph=True)
    (second,) = torch.autograd.grad(loss, a)
    assert_close(first, second, **CLOSE)


@pytest.mark.parametrize("keep", [0, 300, 2**24])
def test_kept_tiles_change_nothing(keep, monkeypatch):
    from likewise.similarity import forward

    monkeypatch.setattr(forward, "KEEP_BYTES", keep)
    (a,) = leaves(unit(11, 3))
    out = sweep(a, None, [Term(5.0, [Self()]), Term(2.0)], tile=4)
    expected = sweep(a, None, [Term(5.0, [Self()]), Term(2.0)], similarity="dense")
    assert_close(torch.cat(out), torch.cat(expected), **CLOSE)
    assert_close(pulled(out, [a]), pulled(expected, [a]), **CLOSE)


@pytest.mark.parametrize("temperature", [1.0, 0.07, 0.01, 0.005])
@pytest.mark.parametrize("spread", ["uniform", "clustered"])
def test_float32_is_as_good_as_the_matrix_at_any_temperature(temperature, spread):
    z = unit(70, 8)
    if spread == "clustered":  # some rows have close neighbours, some have none: their sums lie far apart
        z[1:30] = torch.nn.functional.normalize(z[:1] + 0.01 * z[1:30], dim=1)
        z[60:] = -z[:1]
    (a,), (x,) = leaves(z.float()), leaves(z)
    ours = row_lse(a, scale=1 / temperature, drop=[Self()], tile=16)
    expected = row_lse(x, scale=1 / temperature, drop=[Self()], similarity="dense")
    assert ours.dtype == torch.float32
    assert_close(ours.double(), expected, rtol=1e-6, atol=2e-6 / temperature)
    (g,), (h,) = pulled([ours], [a]), pulled([expected], [x])
    assert_close(g.double(), h, rtol=1e-4, atol=1e-5 / temperature)


@pytest.mark.parametrize("tile", [1, 2, None])
def test_sums_out_of_reach_of_one_shift_are_exact(tile):
    # one row sees logits of 200, another of -200, in float32
    a = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    c = torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    rows = row_lse(a, c, scale=200.0, tile=tile)
    assert_close(rows, torch.tensor([200.0, -200.0, 0.0]) + torch.log(torch.tensor(2.0)))
    rows.sum().backward()
    assert_close(a.grad, torch.tensor([200.0, 0.0]).expand(3, 2), rtol=1e-5, atol=0)
    assert_close(c.grad, torch.tensor([0.0, 100.0]).expand(2, 2), atol=1e-4, rtol=0)
    lse_rows, mean = attend(a.detach(), c.detach() * torch.tensor([[1.0], [0.5]]), scale=200.0, tile=tile)
    assert_close(lse_rows, torch.tensor([200.0, -100.0, 0.6931472]))
    assert_close(mean[:, 0], torch.tensor([1.0, 0.5, 0.75]))


def test_half_precision_rows_are_summed_in_float32_outside_autocast():
    z = unit(40, 8).half()
    a = z.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = row_lse(a, scale=20.0, drop=[Self()], tile=8)
        both = both_lse(a, a, scale=20.0)[0]
    expected = row_lse(z.double(), scale=20.0, drop=[Self()], similarity="dense")
    assert out.dtype == both.dtype == torch.float32
    assert_close(out.double(), expected, rtol=1e-6, atol=1e-6)
    out.sum().backward()
    assert a.grad.dtype == torch.float16


def test_an_empty_row_beside_one_far_from_zero():
    a = torch.full((2, 1), 3.0, dtype=torch.float64, requires_grad=True)
    drop = [Listed(torch.tensor([0, 0]), torch.tensor([0, 1]))]
    for similarity_ in ("tiled", "dense"):
        rows = row_lse(a, a.detach().clone().requires_grad_(), scale=100.0, drop=drop, tile=1, similarity=similarity_)
        assert rows[0] == -torch.inf
        (grad,) = torch.autograd.grad(torch.where(rows > -torch.inf, rows, 0.0).sum(), a)
        assert_close(grad, torch.tensor([[0.0], [300.0]], dtype=torch.float64))


def test_empty_sides():
    a, none = torch.zeros(3, 2, requires_grad=True), torch.zeros(0, 2, requires_grad=True)
    for mode in ("tiled", "dense"):
        assert row_lse(a, none, scale=1.0, similarity=mode).tolist() == [-torch.inf] * 3
        rows, cols = both_lse(none, a, scale=1.0, similarity=mode)
        assert rows.shape == (0,)
        assert cols.tolist() == [-torch.inf] * 3
        rows, mean = attend(a, none, scale=1.0, similarity=mode)
        assert rows.tolist() == [-torch.inf] * 3
        assert mean.tolist() == [[0, 0]] * 3
        torch.where(rows > -torch.inf, rows, 0.0).sum().backward()
    assert a.grad.tolist() == [[0, 0]] * 3


def test_nan_rows_stay_visible():
    a = unit(4, 2, torch.float32)
    a[1, 0] = torch.nan
    assert row_lse(a, scale=2.0).isnan().all()


def test_modes_nest_and_are_checked():
    assert similarity.mode.resolve("auto") == "auto"
    with similarity.using("dense"):
        assert similarity.mode.resolve("auto") == "dense"
        assert similarity.mode.resolve("tiled") == "tiled"
        with similarity.using("tiled"):
            assert similarity.mode.resolve("auto") == "tiled"
        assert similarity.mode.resolve("auto") == "dense"
    assert similarity.mode.resolve("auto") == "auto"
    with pytest.raises(InputError, match="did you mean 'tiled'"), similarity.using("tile"):
        pass
    with pytest.raises(InputError, match="tile is 0"):
        row_lse(unit(2, 2), scale=1.0, tile=0)
    with similarity.using("auto", tile=3):
        assert similarity.mode.forced_tile(None) == 3
        assert similarity.mode.forced_tile(5) == 5
    assert similarity.mode.forced_tile(None) is None


def test_the_tile_fits_the_cache(monkeypatch):
    from likewise.similarity import tiles

    cpu = torch.device("cpu")
    sides = [tiles.pick_tile(d, torch.float32, cpu) for d in (8, 128, 512, 4096)]
    assert sides == sorted(sides, reverse=True)
    assert all(tiles.SMALLEST <= side <= tiles.LARGEST and side % 128 == 0 for side in sides)
    assert tiles.pick_tile(128, torch.float64, cpu) <= tiles.pick_tile(128, torch.float32, cpu)
    monkeypatch.setattr(tiles, "cache_bytes", lambda: 4 * (2 * 256**2 + 4 * 256 * 128))
    assert tiles.pick_tile(128, torch.float32, cpu) == 256
