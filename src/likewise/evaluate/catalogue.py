"""What each metric means. Reports, comparisons and docs pages read it from here; no torch needed."""

from dataclasses import dataclass
from typing import Literal

from likewise.core.errors import InputError, near

Direction = Literal["higher", "lower", "neutral"]


@dataclass(frozen=True)
class Metric:
    """One number of a run.

    Attributes:
        name: key in a run's metrics.
        title: heading in tables.
        says: its meaning in a line.
        direction: which way is better; ``neutral`` where more or less of it is neither.
        source: the paper that defines it, or "".
        share: between 0 and 1, so that differences read as points of a hundred.
        lead: what methods of its kind of task are judged by first; shown in every table and on top of every page.
    """

    name: str
    title: str
    says: str
    direction: Direction = "neutral"
    source: str = ""
    share: bool = False
    lead: bool = False


def _accuracy(name: str, title: str, says: str, source: str, *, lead: bool = False) -> Metric:
    return Metric(name, title, says, "higher", source, share=True, lead=lead)


def _spread(name: str, of: str) -> Metric:
    return Metric(name, f"{of} sd", f"standard deviation of {of} over its draws", share=True)


_WU = "Wu et al. 2018, arXiv:1805.01978"
_YUE = "Yue et al. 2022, arXiv:2106.10466"
_CHEN = "Chen et al. 2020, arXiv:2002.05709"
_TIAN = "Tian et al. 2020, arXiv:2003.11539"
_SIMPLESHOT = "Wang et al. 2019, arXiv:1911.04623"
_SONG = "Oh Song et al. 2016, arXiv:1511.06452"
_STREHL = "Strehl and Ghosh 2002, JMLR 3"
_HUBERT = "Hubert and Arabie 1985, Journal of Classification 2"
_GARRIDO = "Garrido et al. 2023, arXiv:2210.02885"
_THILAK = "Thilak et al. 2024, arXiv:2312.04000"
_ISOLA = "Wang and Isola 2020, arXiv:2005.10242"
_SIMSIAM = "Chen and He 2021, arXiv:2011.10566"
_ETHAYARAJH = "Ethayarajh 2019, arXiv:1909.00512"
_ZHU = "Zhu et al. 2020, arXiv:2006.04131"
_LIU = "Wang and Liu 2021, arXiv:2012.09740"
_WANG = "Wang et al. 2004, IEEE Transactions on Image Processing 13"
_QIU = "Qiu et al. 2022, arXiv:2207.14800"
_HE = "He et al. 2020, arXiv:2002.02126"
_JK = "Jarvelin and Kekalainen 2002, ACM TOIS 20"
_SU = "Su et al. 2022, arXiv:2202.06417"
_SU_COLLIER = "Su and Collier 2023, arXiv:2210.14140"
_MUCO = "Gu et al. 2026, arXiv:2602.06393"
_SAPORTA = "Saporta et al. 2024, arXiv:2411.01053"
_MMHCL = "the code of MMHCL, Xu107/MMHCL"


def _top(k: int, *, lead: bool = False) -> tuple[Metric, ...]:
    """Of the first k recommendations, means over users."""
    share = f"share of a user's held-out items in their first {k}, all ranked"
    early = "the same, early places counting more: 1 when all stand in front"
    return (
        _accuracy(f"top{k}_recall", f"recall@{k}", share, _HE, lead=lead),
        _accuracy(f"top{k}_ndcg", f"NDCG@{k}", early, _JK, lead=lead),
        _accuracy(
            f"top{k}_ndcg_found", f"NDCG@{k}, found", "against the best order of the items found, not of all", _MMHCL
        ),
        _accuracy(f"top{k}_precision", f"precision@{k}", f"share of the first {k} that are held-out items", ""),
        _accuracy(f"top{k}_hit", f"hit@{k}", f"share of users with a held-out item in their first {k}", ""),
        Metric(f"top{k}_coverage", f"coverage@{k}", f"share of all items in somebody's first {k}", share=True),
        Metric(
            f"top{k}_recall_popular", f"recall@{k}, popular", "of recommending everybody the most popular", share=True
        ),
    )


HORIZONS = (1, 6, 12, 24, 48, 96, 168, 192, 288, 336, 672, 720)
"""Steps ahead that forecasts are measured at."""


def _forecast(name: str, title: str, says: str, *, lead: bool = False) -> Metric:
    return Metric(name, title, says, "lower", _YUE, lead=lead)


def _at_horizons(kind: str, says: str) -> tuple[Metric, ...]:
    return tuple(_forecast(f"{kind}_{h}", f"{kind.upper()}, {h} ahead", f"{says} {h} steps ahead") for h in HORIZONS)


DECODERS = ("greedy", "beam", "top-k", "nucleus", "typical", "contrastive-search")
"""Decoders that texts are measured of, by name; ``text`` stands beside them for the test text itself."""
TEXT_METRICS = ("diversity", "coherence", "rep2", "rep3", "rep4")
"""What is measured of each decoder's texts: ``diversity_greedy``, ..."""


def _of_decoder(name: str) -> tuple[Metric, ...]:
    key, who = name.replace("-", "_"), name.replace("-", " ")
    first = name == "contrastive-search"
    repeated = tuple(
        Metric(f"rep{n}_{key}", f"rep-{n}, {who}", f"percent of {n}-grams that are repeated in a text", "lower", _SU)
        for n in (2, 3, 4)
    )
    says = "share of n-grams that are new in their text, product over n = 2, 3, 4"
    return (
        Metric(f"diversity_{key}", f"diversity, {who}", says, "higher", _SU, share=True, lead=first),
        Metric(
            f"coherence_{key}", f"coherence, {who}", "mean log-probability of its tokens under the model", "higher",
            _SU_COLLIER,
        ),
        *repeated,
    )  # fmt: skip


_ALL = (
    _accuracy("knn", "kNN", "test accuracy of the 20 nearest training rows' vote, weighted by exp(cosine / 0.07)", _WU),
    _accuracy("linear", "linear", "test accuracy of a converged logistic regression on the features", _CHEN),
    _accuracy("linear_200", "linear, 200 labels", "the same from 200 labelled training rows, mean of 5 draws", _CHEN),
    _accuracy(
        "node_accuracy",
        "node accuracy",
        "test accuracy of a logistic regression on nodes, mean of random splits",
        _ZHU,
        lead=True,
    ),
    _spread("node_accuracy_std", "node_accuracy"),
    _accuracy(
        "node_accuracy_raw", "node accuracy, raw", "the same from the nodes' own features, without the graph", _ZHU
    ),
    _accuracy("few_shot_5", "5-shot", "the same from 5 training rows of each class, mean of 10 draws", _TIAN),
    _accuracy("few_shot_5_centroid", "5-shot centroid", "by the nearest mean direction of those rows", _SIMPLESHOT),
    _accuracy("map", "mAP", "mean average precision of every test row's search among the others", _SONG),
    _accuracy("recall_at_1", "recall@1", "share of test rows whose nearest other has their label", _SONG),
    _accuracy("recall_at_5", "recall@5", "share of test rows with their label among the 5 nearest others", _SONG),
    _accuracy("recall_at_10", "recall@10", "share of test rows with their label among the 10 nearest others", _SONG),
    _accuracy("nmi", "NMI", "agreement of k-means clusters with the labels: normalised mutual information", _STREHL),
    Metric("ari", "ARI", "agreement of k-means clusters with the labels, 0 by chance", "higher", _HUBERT),
    Metric("r2", "R2", "share of the targets' variance that a ridge regression explains on test rows", "higher"),
    Metric("mae", "MAE", "mean absolute error of that regression, in units of the target", "lower"),
    _accuracy(
        "svm", "SVM", "test accuracy of a support vector machine with Gaussian kernel on the features", _YUE, lead=True
    ),
    _forecast(
        "forecast_mse",
        "forecast MSE",
        "squared error of ridge forecasts, mean over horizons; deviation is 1",
        lead=True,
    ),
    _forecast("forecast_mae", "forecast MAE", "absolute error of ridge forecasts, mean over horizons", lead=True),
    _forecast("naive_mse", "naive MSE", "squared error of repeating the last value, to read forecast MSE against"),
    *_at_horizons("mse", "squared error of ridge forecasts up to"),
    *_at_horizons("mae", "absolute error of ridge forecasts up to"),
    Metric("psnr", "PSNR", "of restored test pictures' brightness, in dB", "higher", lead=True),
    Metric("psnr_bicubic", "PSNR, bicubic", "the same of bicubic enlargement, to read PSNR against", "higher"),
    Metric("ssim", "SSIM", "structural similarity of restored test pictures: 1 the same", "higher", _WANG, lead=True),
    Metric("ssim_bicubic", "SSIM, bicubic", "the same of bicubic enlargement", "higher", _WANG),
    Metric(
        "detail_error", "detail error", "how far the energy of fine detail is off: 0 as the true", "lower", lead=True
    ),
    Metric("detail_error_bicubic", "detail error, bicubic", "the same of bicubic enlargement", "lower"),
    Metric("detail", "detail", "energy of restored fine detail by that of the true pictures: below 1 too smooth"),
    Metric("regret", "regret", "what the best policy collects more, mean over episodes", "lower", _QIU, lead=True),
    Metric("final_regret", "regret, at last", "the same over the last tenth of the episodes", "lower", _QIU),
    Metric("collected", "collected", "rewards of an episode, mean over episodes", "higher"),
    Metric("best_return", "best return", "rewards of an episode by the best policy, on average"),
    Metric("model_error", "model error", "total variation of believed next states, mean of steps taken", "lower", _QIU),
    Metric("episodes", "episodes", "episodes that were played"),
    Metric("effective_rank", "effective rank", "directions in use (RankMe), 1 when collapsed", "higher", _GARRIDO),
    Metric("lidar", "LiDAR", "directions that tell samples apart beyond what augmentation changes", "higher", _THILAK),
    Metric("alignment", "alignment", "squared distance of two views of a sample: 0 same, 2 unrelated", "lower", _ISOLA),
    Metric("apart", "apart", "squared distance of views of two samples, to read alignment against"),
    Metric("uniformity", "uniformity", "how evenly features cover the sphere: 0 collapsed, -4 evenly", "lower", _ISOLA),
    Metric("std", "spread", "deviation of unit features: 1 alike in all directions, 0 collapsed", "higher", _SIMSIAM),
    Metric("anisotropy", "anisotropy", "mean cosine of two test rows: 1 in a narrow cone", "neutral", _ETHAYARAJH),
    Metric("tolerance", "tolerance", "mean cosine of two test rows with the same label", "neutral", _LIU),
    Metric("chance", "chance", "test accuracy of always answering the most common training label", share=True),
    Metric("linear_c", "linear C", "inverse regularisation that the linear probe chose on held-out training rows"),
    _spread("linear_200_std", "linear_200"),
    _spread("few_shot_5_std", "few_shot_5"),
    *_top(20, lead=True),
    *_top(10),
    Metric("ranked_users", "users", "users with a held-out item, over whom the ranking's metrics are means"),
    Metric(
        "perplexity", "perplexity", "exp of the mean cost of a test token, in its own vocabulary", "lower", lead=True
    ),
    Metric(
        "isotropy",
        "isotropy",
        "1 minus the mean cosine of two tokens of a test text: 0 all alike",
        "higher",
        _SU_COLLIER,
        share=True,
        lead=True,
    ),
    *(metric for name in (*DECODERS, "text") for metric in _of_decoder(name)),
    _accuracy(
        "retrieval",
        "retrieval",
        "share of test samples whose missing modality is found first from all others, mean over modalities",
        _SAPORTA,
        lead=True,
    ),
    _accuracy("retrieval_10", "of 10", "the same among ten candidates, nine of them wrong", _SAPORTA),
    *(
        _accuracy(f"retrieval_{which}", f"{which} modality", f"the same for the {which} modality", _SAPORTA)
        for which in ("first", "second", "third")
    ),
    _accuracy("pair_recall_1", "pairs, recall@1", "one modality found first from one other, mean over pairs", ""),
    _accuracy("pair_recall_5", "pairs, recall@5", "the same among the first 5", ""),
    _accuracy("pair_recall_10", "pairs, recall@10", "the same among the first 10", ""),
    _accuracy(
        "turn_recall_1",
        "answers, recall@1",
        "share of questions about test pictures whose answer is found first among all answers",
        _MUCO,
        lead=True,
    ),
    _accuracy("turn_recall_5", "answers, recall@5", "the same among the first 5", _MUCO),
    _accuracy("turn_recall_10", "answers, recall@10", "the same among the first 10", _MUCO),
    Metric("turn_chance", "answers by chance", "what guessing would find, to read answers against", share=True),
    Metric("retrieval_chance", "by chance", "what guessing would find, to read retrieval against", share=True),
    Metric("dim", "width", "width of the features"),
    Metric("test_rows", "test rows", "test rows that the metrics were measured on"),
    Metric("seconds", "seconds", "training time", "lower"),
    Metric("peak_memory_mb", "memory (MB)", "largest memory that the run held", "lower"),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Every metric by name, the ones to look at first first."""

LEADS = tuple(metric.name for metric in _ALL if metric.lead)
"""What methods of tasks other than frozen image features are judged by first."""


def metric(name: str) -> Metric:
    """One entry, or an error with the nearest names."""
    if name not in METRICS:
        raise InputError(f"unknown metric {name!r}{near(name, METRICS)}")
    return METRICS[name]
