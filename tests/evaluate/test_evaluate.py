import time

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from torch import nn

from likewise.core.errors import InputError
from likewise.core.learner import Learner
from likewise.evaluate.catalogue import METRICS
from likewise.evaluate.features import extract
from likewise.evaluate.probes import BINS, check_split, evaluate, probe
from likewise.evaluate.scores import SCORES, of_views

CLASSES = {name for score in SCORES for name in score.gives if score.needs == "classes"} | {"tolerance"}
TARGETS = {"r2", "mae"}
ALWAYS = {"dim", "test_rows"}


def clusters(n=300, classes=4, dim=6, noise=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (n,), generator=generator)
    centres = 3 * torch.randn(classes, dim, generator=generator)
    return centres[y] + noise * torch.randn(n, dim, generator=generator), y


def snapshot(learner):
    tensors = {**dict(learner.named_parameters()), **dict(learner.named_buffers())}
    return (
        {k: v.detach().clone() for k, v in tensors.items()},
        [m.training for m in learner.modules()],
        [None if p.grad is None else p.grad.clone() for p in learner.parameters()],
        torch.get_rng_state(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002 - the state that must not move
    )


def assert_untouched(before, learner):
    after = snapshot(learner)
    assert all(torch.equal(before[0][k], after[0][k]) for k in before[0])
    assert before[1] == after[1]
    assert all((a is None and b is None) or torch.equal(a, b) for a, b in zip(before[2], after[2]))
    assert torch.equal(before[3], after[3])
    assert before[4] == after[4]


def test_evaluate_gives_every_metric_of_labelled_data(learner, views, digits):
    before = snapshot(learner)
    out = evaluate(learner, views, digits)
    assert_untouched(before, learner)
    assert set(out) == {name for score in SCORES for name in score.gives} - TARGETS | ALWAYS
    assert set(out) <= set(METRICS)
    assert all(isinstance(v, float) for v in out.values())
    assert out["dim"] == 256
    assert out["test_rows"] == 300
    assert out["linear"] >= out["linear_200"] > out["few_shot_5"] > 0.6 > out["chance"]


def test_metrics_match_scikit_learn_on_the_same_split(learner, views, digits):
    out = evaluate(learner, views, digits, what=("knn", "linear", "map", "uniformity", "few_shot_5"))
    fit, score = digits.train_rows, digits.test_rows
    x, z = (extract(learner, views, digits, i).double().numpy() for i in (fit, score))
    y, truth = digits.labels[fit].numpy(), digits.labels[score].numpy()
    knn = KNeighborsClassifier(20, metric="cosine", algorithm="brute", weights=lambda d: np.exp((1 - d) / 0.07))
    assert out["knn"] == pytest.approx(knn.fit(x, y).score(z, truth))
    spread = x.std(0)
    scale = np.where(spread > 1e-5 * np.sqrt((x**2).mean(0)), 1 / np.maximum(spread, 1e-30), 0)
    model = LogisticRegression(C=out["linear_c"], max_iter=5000).fit((x - x.mean(0)) * scale, y)
    assert out["linear"] == pytest.approx(model.score((z - x.mean(0)) * scale, truth), abs=1 / len(truth) + 1e-9)
    cosine = sk.pairwise.cosine_similarity(z)
    others = ~np.eye(len(z), dtype=bool)
    expected = [
        sk.average_precision_score(truth[others[i]] == truth[i], cosine[i][others[i]]) for i in range(len(z))
    ]  # fmt: skip
    assert out["map"] == pytest.approx(np.mean(expected), abs=1e-5)
    nearest = np.where(others, cosine, -2).argmax(1)
    assert out["recall_at_1"] == pytest.approx((truth[nearest] == truth).mean())
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    pairs = ((unit[:, None] - unit[None]) ** 2).sum(-1)[np.triu_indices(len(z), 1)]
    assert out["uniformity"] == pytest.approx(np.log(np.exp(-2 * pairs).mean()), abs=1e-4)


def test_few_shot_centroids_use_five_rows_of_each_class(table):
    z, y = clusters(noise=0.01)
    out = evaluate(*table(z, y), what=("few_shot_5",))
    assert out == {"few_shot_5": 1.0, "few_shot_5_std": 0.0, "few_shot_5_centroid": 1.0, "dim": 6.0, "test_rows": 100.0}
    hard, labels = clusters(noise=3.0)
    learner, views, data = table(hard, labels)
    unit = hard / hard.norm(dim=1, keepdim=True)
    everything = NearestCentroid().fit(unit[~data.test], labels[~data.test]).score(unit[data.test], labels[data.test])
    few = evaluate(learner, views, data, what=("few_shot_5",))
    assert 0.25 < few["few_shot_5_centroid"] < everything
    assert few["few_shot_5_std"] > 0


def test_same_seed_same_numbers_another_seed_other_draws(learner, views, digits, table):
    torch.manual_seed(1)
    first = evaluate(learner, views, digits, seed=3, rows=100)
    torch.manual_seed(2)
    assert evaluate(learner, views, digits, seed=3, rows=100) == first
    assert evaluate(learner, views, digits, seed=4, rows=100) != first
    blurred = table(*clusters(600, noise=3.0))
    first = evaluate(*blurred, seed=3)
    assert evaluate(*blurred, seed=3) == first
    other = evaluate(*blurred, seed=4)
    assert all(other[k] != first[k] for k in ("linear_200", "few_shot_5", "few_shot_5_centroid"))
    assert all(other[k] == first[k] for k in ("knn", "uniformity", "recall_at_1"))


def test_a_family_does_not_depend_on_what_else_is_asked(table):
    blurred = table(*clusters(600, noise=3.0))
    everything = evaluate(*blurred)
    for name in ("linear", "linear_200", "few_shot_5", "nmi", "lidar", "recall_at_5"):
        alone = evaluate(*blurred, what=(name,))
        assert name in alone
        assert all(alone[k] == everything[k] for k in alone)


def test_rows_limits_both_sides(learner, views, digits):
    assert evaluate(learner, views, digits, rows=40, what=("knn",))["test_rows"] == 40


def test_unknown_metric_names_the_nearest(learner, views, digits):
    with pytest.raises(InputError, match="unknown metric 'linera'; did you mean 'linear'"):
        evaluate(learner, views, digits, what=("linera",))


def test_labels_of_train_rows_alone_are_fitted(table):
    # test labels are all shifted: whoever fits on them gets them right
    z, y = clusters(noise=0.1)
    learner, views, data = table(z, y)
    data.labels = torch.where(data.test, (y + 1) % 4, y)
    out = evaluate(learner, views, data, what=("knn", "linear", "linear_200", "few_shot_5"))
    assert out["knn"] == out["linear"] == out["linear_200"] == out["few_shot_5"] == 0
    learner.z[data.test_rows] = 0.0  # and nothing of the test rows enters the fit
    assert evaluate(learner, views, data, what=("linear",))["linear_c"] == out["linear_c"]


def test_a_sample_on_both_sides_is_an_error(table):
    z, y = clusters(30)
    learner, views, data = table(z, y)
    check_split(data, data.train_rows, data.test_rows)
    with pytest.raises(InputError, match="1 samples are in train and in test"):
        check_split(data, torch.tensor([0, 1]), torch.tensor([1, 2]))
    data.keys = ["same"] * 30
    with pytest.raises(InputError, match="'same'"):
        evaluate(learner, views, data)
    with pytest.raises(InputError, match="'same'"):
        probe(learner, views, data)


def test_noise_scores_at_chance(table):
    z, y = torch.randn(600, 8, generator=torch.Generator().manual_seed(0)), torch.arange(600) // 60
    out = evaluate(*table(z, y))
    for name in ("knn", "linear", "linear_200", "few_shot_5", "map", "recall_at_1"):
        assert abs(out[name] - 0.1) < 0.06, name
    assert abs(out["ari"]) < 0.05


def test_a_constant_embedding_of_sorted_classes_looks_bad(table):
    z, y = torch.ones(600, 8), torch.arange(600) // 60
    out = evaluate(*table(z, y))
    for name in ("knn", "linear", "map", "recall_at_1", "few_shot_5_centroid"):
        assert out[name] < 0.2, name
    assert out["effective_rank"] == pytest.approx(1, abs=1e-3)
    assert out["uniformity"] == pytest.approx(0, abs=1e-5)
    assert out["std"] == pytest.approx(0, abs=1e-3)
    assert out["lidar"] == 1


# --- what the data can't answer is absent


def test_without_labels_only_geometry_is_there(table):
    z, _ = clusters()
    out = evaluate(*table(z))
    assert set(out) == {"effective_rank", "uniformity", "std", "anisotropy", "alignment", "apart", "lidar"} | ALWAYS


def test_one_class_has_no_classification(table):
    z, _ = clusters()
    out = evaluate(*table(z, torch.full((300,), 3)))
    assert not set(out) & (CLASSES - {"tolerance"})
    assert "tolerance" in out
    assert "uniformity" in out


def test_float_labels_are_regressed(table):
    z = torch.randn(400, 5, generator=torch.Generator().manual_seed(0))
    y = z @ torch.arange(5.0) + 7
    out = evaluate(*table(z, y))
    assert out["r2"] > 0.999
    assert out["mae"] < 0.05
    assert not set(out) & CLASSES
    noise = evaluate(*table(z, torch.randn(400, generator=torch.Generator().manual_seed(1))), what=("r2",))
    assert noise["r2"] < 0.1
    assert not set(probe(*table(z, y))) & (CLASSES | TARGETS)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_tiny_sets_have_what_they_can(table, n):
    z, _ = clusters(n)
    test = torch.zeros(n, dtype=torch.bool)
    test[0] = True
    out = evaluate(*table(z, torch.arange(n) % 2, test))
    assert out["test_rows"] == 1
    assert ("knn" in out) == (n > 2)
    assert not {"uniformity", "lidar", "nmi", "map", "linear_200"} & set(out)
    assert set(probe(*table(z, torch.arange(n) % 2, test))) == ({"knn", "linear"} if n > 2 else set())


def test_without_test_rows_geometry_is_that_of_the_train_rows(table):
    z, y = clusters()
    learner, views, data = table(z, y, torch.zeros(300, dtype=torch.bool))
    out = evaluate(learner, views, data)
    assert not set(out) & (CLASSES - {"tolerance"})
    assert out["test_rows"] == 0
    everything = torch.ones(300, dtype=torch.bool)
    assert out["effective_rank"] == evaluate(*table(z, y, everything))["effective_rank"]
    assert "positive_hist" in probe(learner, views, data)


def test_no_rows_is_an_error(table):
    learner, views, data = table(torch.zeros(0, 3))
    with pytest.raises(InputError, match="no rows"):
        evaluate(learner, views, data)


def test_test_classes_that_training_lacks_count_as_wrong(table):
    z, y = clusters()
    learner, views, data = table(z, y)
    data.labels = torch.where(data.test & (y == 0), 99, y)
    share = float((y[data.test] != 0).double().mean())
    assert evaluate(learner, views, data, what=("knn",))["knn"] <= share + 1e-9


# --- the quick look


def test_probe_leaves_no_trace(learner, views, digits):
    loss = learner.embed(digits.columns["image"][:8].float()).sum()
    loss.backward()
    before = snapshot(learner)
    out = probe(learner, views, digits, rows=600)
    assert_untouched(before, learner)
    assert set(out) == {
        "knn", "linear", "effective_rank", "uniformity", "std", "anisotropy", "alignment", "apart", "lidar",
        "positive_hist", "negative_hist",
    }  # fmt: skip
    torch.manual_seed(77)
    assert probe(learner, views, digits, rows=600) == out
    assert probe(learner, views, digits, rows=600, seed=1) != out


def test_training_goes_on_the_same_with_probes(views, digits):
    class Net(Learner):
        def __init__(self):
            super().__init__()
            flat = nn.Flatten()
            self.encoder = nn.Sequential(flat, nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout())

    def train(with_probe):
        torch.manual_seed(0)
        learner = Net()
        optimizer = torch.optim.SGD(learner.parameters(), 0.1, momentum=0.9)
        for images in digits.columns["image"][:128].float().split(32):
            loss = learner.embed(images).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if with_probe:
                probe(learner, views, digits, rows=100)
        return learner.state_dict()

    plain, probed = train(False), train(True)
    assert all(torch.equal(plain[k], probed[k]) for k in plain)


def test_probe_agrees_with_the_whole_evaluation(learner, views, digits):
    quick, whole = probe(learner, views, digits), evaluate(learner, views, digits)
    for name in ("knn", "effective_rank", "uniformity", "std", "anisotropy"):
        assert quick[name] == whole[name]
    assert abs(quick["linear"] - whole["linear"]) < 0.05
    assert quick["alignment"] == pytest.approx(whole["alignment"], rel=0.05)


def test_apart_is_the_mean_distance_of_views_of_two_samples():
    z = torch.randn(9, 3, 4, generator=torch.Generator().manual_seed(0)) + 1
    unit = z / z.norm(dim=-1, keepdim=True)
    pairs = [float((unit[i, 0] - unit[j, 1]).square().sum()) for i in range(9) for j in range(9) if i != j]
    assert of_views(z)["apart"] == pytest.approx(np.mean(pairs))
    assert of_views(torch.zeros(3, 2, 4))["apart"] == 0


def test_histograms_count_pairs(table):
    z, y = clusters(classes=2, noise=0.2)
    out = probe(*table(z, y))
    assert len(out["positive_hist"]) == len(out["negative_hist"]) == BINS
    assert out["positive_hist"][-1] == sum(out["positive_hist"]) == 100  # views here are the row itself
    assert sum(out["negative_hist"]) == 500
    # rows of one class and rows of two: about half of the pairs each
    edges = torch.linspace(-1, 1, BINS + 1)[:-1]
    high = sum(count for count, edge in zip(out["negative_hist"], edges) if edge > 0.5)
    assert 0.35 < high / 500 < 0.65


def test_probe_of_2000_rows_takes_a_second(table):
    z, y = clusters(4000, classes=10, dim=128, noise=2.0)
    learner, views, data = table(z, y)
    probe(learner, views, data, rows=100)
    start = time.process_time()
    probe(learner, views, data, rows=2000)
    assert time.process_time() - start < 1  # without the forward passes; 0.2 s on one core of 2024
