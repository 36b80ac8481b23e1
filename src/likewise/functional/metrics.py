"""Measures of embeddings, neighbours and rankings. None of them ever holds an n x n matrix.

Whatever speaks of angles brings its rows to unit length itself; a row of zeros stays one. The ranks look at the rows
as they are. Metrics are read, not minimised: gradients are off.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from likewise.functional.precision import equation

Number = Float[Tensor, ""]


def _unit(z: Tensor) -> Tensor:
    """Rows of unit length, in float32 or better."""
    return F.normalize(z.to(_dtype(z)), dim=-1)


def _dtype(z: Tensor) -> torch.dtype:
    return torch.float64 if z.dtype == torch.float64 else torch.float32


def _double(z: Tensor) -> Tensor:
    """In float64; on the CPU where the device has none."""
    return (z.cpu() if z.device.type == "mps" else z).double()


def _blocks(n: int, size: int) -> Iterator[slice]:
    return (slice(i, min(i + size, n)) for i in range(0, n, size))


def _at_least(rows: int, z: Tensor, name: str) -> None:
    if len(z) < rows:
        raise ValueError(f"{name} needs at least {rows} rows, got {len(z)}")


# --- geometry -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def alignment(a: Float[Tensor, "n d"], b: Float[Tensor, "n d"], *, alpha: float = 2.0) -> Number:
    r"""How far apart two views of a sample are: 0 when they coincide, 2 for unrelated directions (alpha 2).

    .. math::  E \, \lVert a_i - b_i \rVert^\alpha

    Source: Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere", arXiv:2005.10242, section 4.1.
    """
    _at_least(1, a, "alignment")
    return (_unit(a) - _unit(b)).norm(dim=1).pow(alpha).mean()


@torch.no_grad()
def uniformity(z: Float[Tensor, "n d"], *, t: float = 2.0, block: int = 2048) -> Number:
    r"""How evenly rows cover the sphere: 0 when all coincide, towards -2t when they are spread evenly.

    .. math::  \log \frac{2}{n (n - 1)} \sum_{i < j} e^{-t \lVert z_i - z_j \rVert^2}

    Tiles of ``block`` x ``block`` pairs on and above the diagonal, added up in log space.
    Source: Wang and Isola, arXiv:2005.10242, section 4.2 (pairs of distinct rows, as in their code).
    """
    _at_least(2, z, "uniformity")
    u, sums = _unit(z), []
    # 1 for unit rows; rows of zeros coincide with each other and must not pass for orthogonal ones
    squares = u.square().sum(1)
    for rows in _blocks(len(u), block):
        for columns in _blocks(len(u), block):
            if columns.start < rows.start:
                continue
            distance = (squares[rows, None] + squares[columns] - 2 * u[rows] @ u[columns].T).clamp_min(0)
            if rows == columns:
                above = torch.ones_like(distance, dtype=torch.bool).triu(1)
                distance = distance[above]
            sums.append((-t * distance).flatten().logsumexp(0))
    return torch.stack(sums).logsumexp(0) - math.log(len(u) * (len(u) - 1) / 2)


@torch.no_grad()
def anisotropy(z: Float[Tensor, "n d"]) -> Number:
    """Mean cosine over all pairs of distinct rows: 0 for directions without a bias, 1 in a narrow cone.

    Source: Ethayarajh, "How Contextual are Contextualized Word Representations?", arXiv:1909.00512, section 3.3.
    """
    _at_least(2, z, "anisotropy")
    # float64: the two sums nearly cancel when directions are spread
    u = _double(_unit(z))
    return ((u.sum(0).square().sum() - u.square().sum()) / (len(u) * (len(u) - 1))).to(_dtype(z))


@torch.no_grad()
def tolerance(z: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> Number:
    """Mean cosine over the pairs of distinct rows that share a label.

    Source: Wang and Liu, "Understanding the Behaviour of Contrastive Loss", arXiv:2012.09740, Eq. 9, averaged over the
    same-class pairs (their literal form divides by all pairs, so that it falls with the number of classes).
    """
    u = _double(_unit(z))
    _, label, size = torch.unique(labels.to(u.device), return_inverse=True, return_counts=True)
    pairs = (size * (size - 1)).sum()
    if pairs == 0:
        raise ValueError("tolerance needs two rows with the same label")
    sums = u.new_zeros(len(size), u.shape[1]).index_add_(0, label, u)
    return ((sums.square().sum() - u.square().sum()) / pairs).to(_dtype(z))


@torch.no_grad()
def per_dimension_std(z: Float[Tensor, "n d"]) -> Float[Tensor, " d"]:
    """Standard deviation of every coordinate of the unit rows: about 1/sqrt(d) when healthy, 0 when collapsed.

    Source: Chen and He, "Exploring Simple Siamese Representation Learning", arXiv:2011.10566, section 4.1.
    """
    _at_least(1, z, "per_dimension_std")
    return _unit(z).std(dim=0, unbiased=False)


def _spectrum(x: Tensor) -> Tensor:
    """Eigenvalues of ``x.T @ x`` that can differ from 0, through the smaller Gram matrix, summed in float64."""
    n, d = x.shape
    if n <= d:
        rows = _double(x)
        gram = rows @ rows.T
    else:
        gram = _double(x.new_zeros(d, d))
        for block in _blocks(n, 4096):
            rows = _double(x[block])
            gram += rows.T @ rows
    return torch.linalg.eigvalsh(gram).clamp_min(0)


def _smooth_rank(weights: Tensor) -> Tensor:
    """Exponential of the entropy of weights >= 0; 1 when all are 0, as for a single direction."""
    return torch.special.entr(weights / weights.sum().clamp_min(torch.finfo(weights.dtype).tiny)).sum().exp()


@torch.no_grad()
def effective_rank(z: Float[Tensor, "n d"]) -> Number:
    r"""RankMe: how many directions the rows use, between 1 and min(n, d).

    .. math::  \exp\Big(-\sum_k p_k \log p_k\Big), \quad p_k = \sigma_k / \lVert\sigma\rVert_1

    with sigma the singular values of the rows, not centred. The paper adds 1e-7 to p against log 0; here 0 log 0 = 0.
    Rows of zeros have rank 1.
    Source: Garrido et al., "RankMe", arXiv:2210.02885, Eq. 1-2.
    """
    _at_least(1, z, "effective_rank")
    return _smooth_rank(_spectrum(z).sqrt()).to(_dtype(z))


@torch.no_grad()
def participation_ratio(z: Float[Tensor, "n d"]) -> Number:
    """``(sum l)^2 / sum l^2`` of the covariance's eigenvalues: dimensions with variance; 0 for constant rows.

    Source: Gao et al., "A theory of multineuronal dimensionality, dynamics and measurement", bioRxiv 214262.
    """
    _at_least(1, z, "participation_ratio")
    variance = _spectrum(_double(z) - _double(z).mean(0))
    return (variance.sum().square() / variance.square().sum().clamp_min(torch.finfo(torch.float64).tiny)).to(_dtype(z))


@torch.no_grad()
def lidar(views: Float[Tensor, "n q d"], *, delta: float = 1e-4) -> Number:
    r"""LiDAR: how many directions tell samples apart, once the spread between views of a sample is divided out.

    .. math::  \exp\Big(-\sum_k p_k \log p_k\Big), \quad p = \lambda / \lVert\lambda\rVert_1, \quad
        \lambda = \operatorname{eig}\big(\Sigma_w^{-1/2} \Sigma_b \Sigma_w^{-1/2}\big)

    with Sigma_b the covariance of the samples' means and Sigma_w that of the views about them, plus ``delta`` I. The
    paper prints no delta; it acts on the scale of the embeddings, so bring them to a common one before comparing.
    Between 1 and min(n - 1, d); compare at equal n and q.
    Source: Thilak et al., "LiDAR: Sensing Linear Probing Performance in Joint Embedding SSL Architectures",
    arXiv:2312.04000, Eq. 1-2.
    """
    n, q, d = views.shape
    if n < 2 or q < 2:
        raise ValueError(f"lidar needs at least 2 samples with 2 views each, got {n} with {q}")
    x = _double(views)
    means = x.mean(1)
    within = (x - means[:, None]).flatten(0, 1)
    between = means - means.mean(0)
    spread = within.T @ within / (n * (q - 1)) + delta * torch.eye(d, dtype=x.dtype, device=x.device)
    # L^-1 S_b L^-T with S_w = L L^T has the eigenvalues of the symmetric form
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(spread), between.T, upper=False)
    return _smooth_rank(_spectrum(whitened.T)).to(_dtype(views))


# --- similarities and logits ----------------------------------------------------------------------------------------


@torch.no_grad()
def similarity_histogram(similarity: Float[Tensor, "..."], *, bins: int = 40) -> Int[Tensor, " bins"]:
    """Counts of cosines in ``bins`` equal bins over [-1, 1]; rounding beyond the ends counts in the end bins."""
    at = ((similarity.flatten() + 1) * (bins / 2)).floor().long().clamp(0, bins - 1)
    return torch.bincount(at, minlength=bins)


@torch.no_grad()
def logit_statistics(logits: Float[Tensor, "n m"], positive: Bool[Tensor, "n m"]) -> dict[str, Tensor]:
    """What a contrastive loss sees, as means over the anchors with at least one positive and one negative.

    Args:
        logits: similarities divided by the temperature; ``-inf`` where a candidate is left out.
        positive: true where the candidate belongs to the anchor.

    Returns:
        ``positive`` and ``negative``: mean logits; ``hardest``: the largest negative; ``margin``: best positive less
        hardest; ``accuracy``: share with a margin above 0; ``entropy``: of the softmax over the negatives, in nats.
        NaN when no anchor has both.
    """
    there = logits.isfinite()
    yes, no = positive & there, ~positive & there
    both = yes.any(1) & no.any(1)
    logits, yes, no = logits[both], yes[both], no[both]
    hardest = logits.masked_fill(~no, -torch.inf).amax(1)
    margin = logits.masked_fill(~yes, -torch.inf).amax(1) - hardest
    share = logits.masked_fill(~no, -torch.inf).softmax(1)
    return {
        "positive": (logits.where(yes, 0).sum(1) / yes.sum(1)).mean(),
        "negative": (logits.where(no, 0).sum(1) / no.sum(1)).mean(),
        "hardest": hardest.mean(),
        "margin": margin.mean(),
        "accuracy": (margin > 0).to(logits.dtype).mean(),
        "entropy": torch.special.entr(share).sum(1).mean(),
    }


# --- neighbours -----------------------------------------------------------------------------------------------------


@equation
@torch.no_grad()
def nearest(
    query: Float[Tensor, "m d"],
    gallery: Float[Tensor, "n d"],
    k: int,
    *,
    exclude: Int[Tensor, " m"] | None = None,
    same: tuple[Int[Tensor, " m"], Int[Tensor, " n"]] | None = None,
    block: int = 1024,
) -> tuple[Float[Tensor, "m k"], Int[Tensor, "m k"]]:
    """The ``k`` rows of the gallery with the largest cosine, best first, in tiles over both sides.

    Args:
        query: whose neighbours.
        gallery: where they are looked for.
        k: how many.
        exclude: position in the gallery that each query must not find (itself).
        same: keys of the queries and of the gallery; rows with a query's key come last, with cosine ``-inf``.
        block: queries at a time; sixteen times as many of the gallery.

    Returns:
        Their cosines and their positions in the gallery.
    """
    most = len(gallery) - (exclude is not None)
    if not 1 <= k <= most:
        raise ValueError(f"nearest: k must be between 1 and {most} for {len(gallery)} gallery rows, got {k}")
    q, g = _unit(query), _unit(gallery)
    values, positions = [], []
    for rows in _blocks(len(q), block):
        best = q.new_full((rows.stop - rows.start, 0), 0.0)
        where = torch.zeros_like(best, dtype=torch.int64)
        for columns in _blocks(len(g), 16 * block):
            cosine = q[rows] @ g[columns].T
            if exclude is not None:
                own = exclude[rows] - columns.start
                inside = ((own >= 0) & (own < cosine.shape[1])).nonzero().flatten()
                cosine[inside, own[inside]] = -torch.inf
            if same is not None:
                cosine.masked_fill_(same[0][rows, None] == same[1][None, columns], -torch.inf)
            top, at = cosine.topk(min(k, cosine.shape[1]), dim=1)
            best, pick = torch.cat([best, top], 1).topk(min(k, best.shape[1] + top.shape[1]), dim=1)
            where = torch.cat([where, at + columns.start], 1).gather(1, pick)
        values.append(best)
        positions.append(where)
    if not values:
        return q.new_zeros(0, k), torch.zeros(0, k, dtype=torch.int64, device=q.device)
    return torch.cat(values), torch.cat(positions)


@torch.no_grad()
def knn_predict(
    query: Float[Tensor, "m d"],
    gallery: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    *,
    k: int = 20,
    temperature: float = 0.07,
    block: int = 1024,
) -> Int[Tensor, " m"]:
    r"""The label with the largest sum of :math:`e^{\cos/\tau}` among the ``k`` nearest rows of the gallery.

    ``k`` larger than the gallery means all of it; of equal sums the smaller label wins.
    Source: Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", arXiv:1805.01978,
    section 3.4 (tau = 0.07).
    """
    cosine, where = nearest(query, gallery, min(k, len(gallery)), block=block)
    classes, label = torch.unique(labels, return_inverse=True)
    # the best neighbour weighs 1: a common factor per row changes no vote and no temperature overflows
    weight = ((cosine - cosine[:, :1]) / temperature).exp()
    votes = weight.new_zeros(len(query), len(classes)).scatter_add_(1, label[where], weight)
    return classes[votes.argmax(1)]


# --- rankings: relevance of the candidates of each query, best candidate first ----------------------------------------


@torch.no_grad()
def hit_at_k(relevant: Bool[Tensor, "m n"], k: int) -> Float[Tensor, " m"]:
    """1 where any of the first ``k`` is relevant: what image retrieval calls recall@k (arXiv:1511.06452)."""
    return relevant[:, :k].any(1).float()


@torch.no_grad()
def recall_at_k(
    relevant: Bool[Tensor, "m n"], k: int, *, total: Int[Tensor, " m"] | None = None
) -> Float[Tensor, " m"]:
    """Share of the relevant candidates that stand among the first ``k``; 0 for queries without any.

    ``total`` is their number where the ranking is cut short; by default those in it are all.
    """
    total = relevant.sum(1) if total is None else total
    return relevant[:, :k].sum(1) / total.clamp_min(1)


@torch.no_grad()
def average_precision(relevant: Bool[Tensor, "m n"]) -> Float[Tensor, " m"]:
    """Mean, over the relevant candidates, of the precision down to each; 0 for queries without any."""
    found = relevant.cumsum(1)
    rank = torch.arange(1, relevant.shape[1] + 1, device=relevant.device)
    return (found / rank * relevant).sum(1) / relevant.sum(1).clamp_min(1)


@torch.no_grad()
def reciprocal_rank(relevant: Bool[Tensor, "m n"]) -> Float[Tensor, " m"]:
    """1 / rank of the first relevant candidate; 0 for queries without any."""
    rank = torch.arange(1, relevant.shape[1] + 1, device=relevant.device)
    return (relevant / rank).amax(1)


@torch.no_grad()
def ndcg(gains: Float[Tensor, "m n"], k: int, *, ideal: Float[Tensor, "m p"] | None = None) -> Float[Tensor, " m"]:
    r"""Discounted gain of the first ``k`` over that of the best possible order; 0 for queries without gain.

    .. math::  DCG@k = \sum_{i \le k} g_i / \log_2(i + 1)

    ``ideal`` are all gains of each query where the ranking is cut short, in any order, padded with 0.
    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", 2002.
    """
    best = (gains if ideal is None else ideal).sort(1, descending=True).values
    discount = torch.arange(2, max(gains.shape[1], best.shape[1]) + 2, device=gains.device, dtype=gains.dtype).log2()

    def dcg(g: Tensor) -> Tensor:
        return (g[:, :k] / discount[: min(k, g.shape[1])]).sum(1)

    top = dcg(best)
    return torch.where(top > 0, dcg(gains) / top.where(top > 0, 1), 0)
