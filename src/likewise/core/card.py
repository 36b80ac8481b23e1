"""The facts of a method, beside its class. Docs pages, tables, the command line and the tests are made from these.

Cards are read from source without running it (see :mod:`likewise.core.registry`), so every value is a literal.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["learner", "decoder", "study", "agent"]
Splits = Literal["mean", "gather", "statistics", "single"]
Status = Literal["exact", "adapted", "small"]


@dataclass(frozen=True)
class Traits:
    """How a method behaves; each switches checks of the contract suite on or off.

    Attributes:
        splits: how the loss splits over devices. ``mean``: per row, averaged. ``gather``: against everybody's rows.
            ``statistics``: through sums over everybody's rows. ``single``: one device only.
        cacheable: gradient caching (``micro``) gives the gradient of the whole batch.
        row_independent: an embedding does not depend on the other rows of the batch (no batch norm).
        permutable: the loss does not depend on the order of the batch.
        min_batch: the smallest batch with a defined loss.
        whole: every batch is the whole data set, a graph, which can't be cut into rows.
        needs: extras or data that have to be there, like ``"labels"`` or ``"extra:graph"``.
        memory: state beside the weights, like ``"queue"``, ``"momentum encoder"``, ``"prototypes"``.
    """

    splits: Splits = "gather"
    cacheable: bool = True
    row_independent: bool = False
    permutable: bool = True
    min_batch: int = 2
    whole: bool = False
    needs: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """The paper's point, shrunk to a laptop: ``metric`` of the method against ``beats`` under the same budget.

    Attributes:
        says: the claim in a sentence.
        data: source that it is checked on.
        metric: name in the run's metrics.
        beats: slug of the baseline.
        seeds: how many seeds at least.
        settings: ``(path, value)`` pairs set in both recipes (the same budget).
        also: other settings under which the pair is run and reported beside it (where the gap should close, say).
        times: the metric is compared with so many times the baseline's (1.03 where less is better: at most 3 % more).
        further: ``(metric, baseline, times)`` that the same runs are also judged by, and reported beside it.
        under: slug of the learner that a decoder and its baseline both work on; ``metric`` is then measured of each
            (``diversity`` is ``diversity_greedy`` of greedy search).
    """

    says: str
    data: str
    metric: str
    beats: str
    seeds: int = 3
    settings: tuple[tuple[str, object], ...] = ()
    also: tuple[tuple[tuple[str, object], ...], ...] = ()
    times: float = 1.0
    further: tuple[tuple[str, str, float], ...] = ()
    under: str = ""

    def of(self, metric: str, slug: str) -> str:
        """The metric's name in a run's metrics: a decoder's own where the claim is about decoders."""
        return f"{metric}_{slug.replace('-', '_')}" if self.under else metric


@dataclass(frozen=True)
class Card:
    """One method's facts.

    Attributes:
        slug: its name on the command line and in file names.
        title: of the paper.
        name: short name in tables.
        paper: arXiv or DOI.
        year: of first publication.
        modality: ``image``, ``text``, ``graph``, ...
        task: what it learns or does.
        contrasts: what is compared with what.
        pick: when to choose it, in a sentence or two.
        equation: its loss in LaTeX.
        code: the official repository and its licence.
        kind: learner, decoder, study or agent.
        traits: see :class:`Traits`.
        oracle: fixture with numbers of the authors' code, or "" with a second derivation in the test.
        claim: see :class:`Claim`, or None for a pure baseline.
        deviations: each difference from the paper or its code, and why.
        waivers: ``(check, reason)`` pairs of contract checks that don't apply.
        status: ``exact``, ``adapted``, or ``small`` = mechanism on a small stand-in for a backbone out of reach.
    """

    slug: str
    title: str
    name: str
    paper: str
    year: int
    modality: str
    task: str
    contrasts: str
    pick: str
    equation: str
    code: str = ""
    kind: Kind = "learner"
    traits: Traits = Traits()
    oracle: str = ""
    claim: Claim | None = None
    deviations: tuple[str, ...] = ()
    waivers: tuple[tuple[str, str], ...] = ()
    status: Status = "exact"
