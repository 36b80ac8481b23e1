"""Does contrastive search need a model whose tokens are spread? Isotropy and texts over the margin of training."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from likewise.core.card import Card
from likewise.core.errors import InputError
from likewise.core.registry import register
from likewise.core.study import Finding, Variation

LIKELIHOOD = "likelihood alone"


@register(
    Card(
        slug="isotropy",
        title="Contrastive Search Is What You Need For Neural Text Generation",
        name="Isotropy and decoding",
        paper="arXiv:2210.14140",
        year=2023,
        modality="text",
        kind="study",
        task="isotropy of a language model, and its texts by several decoders, over the margin of the contrast between "
        "tokens",
        contrasts="the tokens of a sequence with each other, under no margin and under several",
        pick="To see whether a contrast in training pays for the decoder that you will use.",
        equation=r"1 - \frac{1}{N}\sum_{i \neq j} \cos(h_i, h_j)",
        code="yxuansu/Contrastive_Search_Is_What_You_Need (no licence)",
        deviations=(
            "The papers look at pretrained models of many sizes and languages; this trains small ones from scratch, "
            "with and without the contrast.",
        ),
    )
)
class Isotropy:
    """A language model by likelihood alone, and with the contrast under several margins; texts of each by decoders.

    Args:
        margins: rho of SimCTG; each is a run a seed, beside the one by likelihood alone, which stands at 0.
        decoders: by name, as far as the recipe's measure uses them.
        size: of the recipes.
        steps: of training; the recipe's own if None.
    """

    def __init__(
        self,
        *,
        margins: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0),
        decoders: tuple[str, ...] = ("greedy", "nucleus", "contrastive-search"),
        size: str = "small",
        steps: int | None = None,
    ) -> None:
        if not margins or not all(0 < margin <= 2 for margin in margins):
            raise InputError(f"margins={margins}: numbers above 0 and at most 2, at least one of them")
        if len(set(margins)) < len(margins):
            raise InputError(f"margins={margins}: one is there twice")
        self.margins, self.decoders, self.size, self.steps = tuple(sorted(margins)), decoders, size, steps

    def variations(self, seeds: Sequence[int]) -> Iterable[Variation]:
        """Likelihood alone, then each margin, for every seed."""
        common = {} if self.steps is None else {"steps": self.steps}
        yield from (Variation("gpt", common, seed, self.size) for seed in seeds)
        for margin in self.margins:
            yield from (Variation("simctg", {**common, "margin": margin}, seed, self.size) for seed in seeds)

    def read(self, results: Sequence[tuple[Variation, Mapping[str, float]]]) -> Finding:
        """A row for each model, and one for each model and decoder: means over seeds."""
        held: dict[float, list[Mapping[str, float]]] = {}
        for variation, metrics in sorted(results, key=lambda pair: (_margin(pair[0]), pair[0].seed)):
            held.setdefault(_margin(variation), []).append(metrics)
        rows: list[dict[str, object]] = []
        for margin, runs in held.items():
            model = {name: fmean(m[name] for m in runs) for name in ("isotropy", "perplexity")}
            rows.append({"margin": margin, "of": "model", **model})
            for decoder in self.decoders:
                names = {kind: f"{kind}_{decoder.replace('-', '_')}" for kind in ("diversity", "coherence")}
                if all(name in metrics for name in names.values() for metrics in runs):
                    means = {kind: fmean(m[name] for m in runs) for kind, name in names.items()}
                    rows.append({"margin": margin, "of": decoder, **means})
        reading = "; ".join([*_of_models(rows), *_of_search(rows)]) + "."
        reading = reading[:1].upper() + reading[1:]
        return Finding(rows, "margin", ("isotropy", "perplexity", "diversity", "coherence"), reading, series="of")


def _called(row: Mapping[str, object]) -> str:
    return f"margin {row['margin']:g}" if row["margin"] else LIKELIHOOD


def _of_models(rows: Sequence[Mapping[str, object]]) -> list[str]:
    return [
        f"{_called(row)}: isotropy {row['isotropy']:.3f}, perplexity {row['perplexity']:.1f}"
        for row in rows
        if row["of"] == "model"
    ]


def _of_search(rows: Sequence[Mapping[str, object]]) -> list[str]:
    searched = [row for row in rows if row["of"] == "contrastive-search"]
    if not searched:
        return []
    best = max(searched, key=lambda row: float(str(row["diversity"])))
    return [f"texts of contrastive search are most diverse ({best['diversity']:.3f}) under {_called(best)}"]


def _margin(variation: Variation) -> float:
    return float(variation.settings.get("margin", 0.0))
