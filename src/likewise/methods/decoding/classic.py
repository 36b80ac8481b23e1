"""The classic ways to continue a text: the likeliest token, the likeliest text, and draws from the likely tokens."""

import torch
from torch import Tensor

from likewise.core.card import Card
from likewise.core.decoder import Sources
from likewise.core.errors import InputError
from likewise.core.registry import register
from likewise.parts.decoding import FromProbabilities, keep_mass, share


@register(
    Card(
        slug="greedy",
        title="Sequence to Sequence Learning with Neural Networks",
        name="Greedy search",
        paper="arXiv:1409.3215",
        year=2014,
        modality="text",
        kind="decoder",
        task="continues a text, the same way each time",
        contrasts="nothing",
        pick="For short answers with one right continuation; longer texts fall into loops.",
        equation=r"x_t = \arg\max_v p(v \mid x_{<t})",
    )
)
class Greedy:
    """The most likely next token."""

    needs: tuple[str, ...] = ()
    draws = False
    beams = 1

    def score(self, sources: Sources) -> Tensor:
        """The expert's logits."""
        return sources.logits["expert"]


@register(
    Card(
        slug="beam",
        title="Sequence to Sequence Learning with Neural Networks",
        name="Beam search",
        paper="arXiv:1409.3215",
        year=2014,
        modality="text",
        kind="decoder",
        task="continues a text, the same way each time",
        contrasts="nothing",
        pick="Where the likeliest whole answer is wanted, in translation say; open-ended text becomes repetitive.",
        equation=r"\arg\max_{x} \sum_t \log p(x_t \mid x_{<t})",
        deviations=("Scores of texts of different length are compared as they are, without a length penalty.",),
    )
)
class Beam:
    """Beam search: the likeliest of the texts that stay among the best ``beams`` at each step.

    Args:
        beams: texts kept at a time.
    """

    needs: tuple[str, ...] = ()
    draws = False

    def __init__(self, *, beams: int = 4) -> None:
        if beams < 2:
            raise InputError(f"beams={beams}: at least 2; with one it is greedy search")
        self.beams = beams

    def score(self, sources: Sources) -> Tensor:
        """Log-probabilities."""
        return sources.logits["expert"].log_softmax(1)


@register(
    Card(
        slug="top-k",
        title="Hierarchical Neural Story Generation",
        name="Top-k sampling",
        paper="arXiv:1805.04833",
        year=2018,
        modality="text",
        kind="decoder",
        task="continues a text, differently each time",
        contrasts="nothing",
        pick="For varied texts at a fixed width of choice.",
        equation=r"x_t \sim p(v \mid x_{<t}),\ v \in V^{(k)}",
    )
)
class TopK(FromProbabilities):
    """A draw from the ``k`` most likely tokens.

    Args:
        k: tokens to draw from.
        temperature: the logits are divided by it.
    """

    def __init__(self, *, k: int = 50, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        if k < 1:
            raise InputError(f"k={k}: at least 1 token to draw from")
        self.k = k

    def score(self, sources: Sources) -> Tensor:
        """The logits of the ``k`` likeliest tokens."""
        logits = sources.logits["expert"] / self.temperature
        best = logits.topk(min(self.k, logits.shape[1]), dim=1)
        return torch.full_like(logits, -torch.inf).scatter(1, best.indices, best.values)


@register(
    Card(
        slug="nucleus",
        title="The Curious Case of Neural Text Degeneration",
        name="Nucleus sampling",
        paper="arXiv:1904.09751",
        year=2020,
        modality="text",
        kind="decoder",
        task="continues a text, differently each time",
        contrasts="nothing",
        pick="For varied texts; the choice is narrow where the model is sure, wide where it is not.",
        equation=r"x_t \sim p(v \mid x_{<t}),\ v \in V^{(p)},\ \sum_{v \in V^{(p)}} p(v \mid x_{<t}) \geq p",
    )
)
class Nucleus(FromProbabilities):
    """A draw from the fewest likely tokens that hold a share ``p`` of the probability.

    Args:
        p: the share.
        temperature: the logits are divided by it.
    """

    def __init__(self, *, p: float = 0.95, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        self.p = share("p", p)

    def score(self, sources: Sources) -> Tensor:
        """The logits of the nucleus."""
        logits = sources.logits["expert"] / self.temperature
        return keep_mass(logits, logits.argsort(dim=1, descending=True, stable=True), self.p)


@register(
    Card(
        slug="typical",
        title="Locally Typical Sampling",
        name="Typical sampling",
        paper="arXiv:2202.00666",
        year=2023,
        modality="text",
        kind="decoder",
        task="continues a text, differently each time",
        contrasts="nothing",
        pick="For varied texts whose tokens are about as surprising as the model expects, not the likeliest ones.",
        equation=r"x_t \sim p(v \mid x_{<t}),\ \mathrm{least}\ |H_t + \log p(v \mid x_{<t})|",
    )
)
class Typical(FromProbabilities):
    """A draw from the tokens whose information is nearest to the entropy, which hold a share ``mass`` together.

    Args:
        mass: the share.
        temperature: the logits are divided by it.
    """

    def __init__(self, *, mass: float = 0.95, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        self.mass = share("mass", mass)

    def score(self, sources: Sources) -> Tensor:
        """The logits of the typical set."""
        logits = sources.logits["expert"] / self.temperature
        log_p = logits.log_softmax(1)
        entropy = -(log_p.exp() * log_p).nan_to_num(0.0).sum(1, keepdim=True)
        # tokens that may not come are infinitely far
        return keep_mass(logits, (entropy + log_p).abs().argsort(dim=1, stable=True), self.mass)
