import pytest

from likewise.core.errors import InputError
from likewise.evaluate.catalogue import METRICS, metric
from likewise.evaluate.reading import read


def says(metrics, dim=128):
    return [(r.level, str(r)) for r in read(metrics, dim)]


def test_every_metric_states_itself_in_a_line():
    for name, entry in METRICS.items():
        assert entry.name == name
        assert entry.title
        assert 5 < len(entry.says) < 100
        assert entry.direction in ("higher", "lower", "neutral")
    assert metric("knn").direction == "higher"
    with pytest.raises(InputError, match="did you mean 'uniformity'"):
        metric("unifomity")


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ({"psnr": 22.5, "psnr_bicubic": 19.28}, ("good", "PSNR 22.5 dB, 19.28 of bicubic enlargement")),
        (
            {"psnr": 19.0, "psnr_bicubic": 19.28},
            ("bad", "no better than enlarging: PSNR 19 dB, 19.28 of bicubic enlargement"),
        ),
        (
            {"final_regret": 0.1, "untrained": {"final_regret": 0.92}},
            ("good", "regret 0.1 an episode at last, 0.92 by acting at random"),
        ),
        (
            {"final_regret": 0.9, "untrained": {"final_regret": 0.92}},
            ("warn", "little learned: regret 0.9 an episode at last, 0.92 by acting at random"),
        ),
        ({"effective_rank": 1.2}, ("bad", "collapsed: effective rank 1.2 of 128")),
        ({"effective_rank": 8.0}, ("warn", "few directions in use: effective rank 8 of 128")),
        ({"effective_rank": 88.4}, ("good", "many directions in use: effective rank 88.4 of 128")),
        ({"uniformity": -0.01}, ("bad", "all features point the same way (uniformity -0.01)")),
        ({"uniformity": -0.5}, ("warn", "features are crowded into a narrow cone (uniformity -0.5)")),
        ({"uniformity": -1.9}, ("good", "features well spread (uniformity -1.9)")),
        ({"uniformity": -3.6}, ("good", "negatives spread evenly (uniformity -3.6)")),
        ({"knn": 0.83, "untrained": {"knn": 0.58}}, ("good", "kNN 0.83: 25 points over the untrained encoder")),
        ({"knn": 0.58, "untrained": {"knn": 0.58}}, ("warn", "kNN 0.58: hardly over the untrained encoder (0.58)")),
        ({"knn": 0.57, "untrained": {"knn": 0.58}}, ("bad", "kNN 0.57: 1 point under the untrained encoder")),
        (
            {"linear": 0.3, "chance": 0.31, "untrained": {"linear": 0.1}},
            ("bad", "linear: 0.30: no better than always answering the commonest label (0.31)"),
        ),
        (
            {"alignment": 1.7, "apart": 2.0},
            ("bad", "two views of a sample are hardly closer than two samples (alignment 1.7, two samples 2)"),
        ),
        (
            {"alignment": 0.2, "apart": 2.0},
            ("good", "views of a sample stay together (alignment 0.2, two samples 2)"),
        ),
        (
            {"forecast_mse": 0.5, "untrained": {"forecast_mse": 0.8}},
            ("good", "forecast MSE 0.5: 38 % below the untrained encoder's"),
        ),
        (
            {"forecast_mse": 0.5, "untrained": {"forecast_mse": 0.5}},
            ("warn", "forecast MSE 0.5: hardly below the untrained encoder's (0.5)"),
        ),
        (
            {"forecast_mae": 0.5, "untrained": {"forecast_mae": 0.4}},
            ("bad", "forecast MAE 0.5: 25 % above the untrained encoder's"),
        ),
        (
            {"forecast_mse": 0.5, "naive_mse": 0.4, "untrained": {"forecast_mse": 0.8}},
            ("bad", "forecast MSE 0.5: no better than repeating the last value (0.4)"),
        ),
        (
            {"node_accuracy": 0.7, "node_accuracy_raw": 0.8},
            ("bad", "node accuracy 0.70: the nodes' own features, without the graph, have 0.80"),
        ),
        (
            {"node_accuracy": 0.85, "node_accuracy_raw": 0.8},
            ("good", "node accuracy 0.85, where the nodes' own features have 0.80"),
        ),
        ({"lidar": 1.01}, ("bad", "samples can't be told apart beyond what augmentation changes (LiDAR 1 of 128)")),
    ],
)
def test_a_number_in_words(metrics, expected):
    assert says(metrics) == [expected]


def test_the_worst_news_come_first():
    levels = [
        level
        for level, _ in says({"knn": 0.9, "untrained": {"knn": 0.5}, "effective_rank": 1.0, "uniformity": -0.6})
    ]  # fmt: skip
    assert levels == ["bad", "warn", "good"]


def test_nothing_is_said_of_what_is_not_there():
    assert says({}) == []
    assert says({"knn": 0.9}) == []
    assert says({"alignment": 0.0, "apart": 0.0}) == []
    assert read({"effective_rank": 1.0}) == []  # a rank without a width has no meaning
    assert [str(r) for r in read({"effective_rank": 1.2, "dim": 128.0})] == ["collapsed: effective rank 1.2 of 128"]
