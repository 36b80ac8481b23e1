"""The table and the figure of similarity.py's results."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]
Result = Mapping[str, Any]
OURS, PLAIN = "likewise", "plain torch"
MEGABYTE = 1e6


def operations(loss: str, rows: int, dim: int) -> float:
    """What likewise's sweeps multiply and add, the tiles of the backward sweep computed again.

    NT-Xent: 2 x 2 N^2 d with N = 2 rows, two full products. CLIP: 4 x 2 n^2 d with n = rows, four full products.
    """
    return 2 * 2 * (2 * rows) ** 2 * dim if loss == "NT-Xent" else 4 * 2 * rows**2 * dim


class Table:
    """The results of one loss by size and form.

    Of the two ways to write it in plain torch, the faster one's time and the leaner one's memory count.
    """

    def __init__(self, record: Record, loss: str) -> None:
        self.record, self.loss = record, loss
        self.results: dict[tuple[int, int], dict[str, Result]] = {}
        for one in record["cells"]:
            if one["loss"] == loss:
                line = self.results.setdefault((one["dim"], one["rows"]), {})
                form = PLAIN if one["form"].startswith(PLAIN) else one["form"]
                line[form] = better(line.get(form, one), one)
        # in the order of the size that has most of them
        lines = sorted(self.results.values(), key=len, reverse=True)
        self.forms = list(dict.fromkeys(form for line in lines for form in line))

    def share(self, dim: int, rows: int) -> float | None:
        """The part of the machine's own matrix-product rate that likewise's arithmetic reaches."""
        rate = self.record["product_rate"].get(str(dim), {}).get("tiles")
        seconds = self.results.get((dim, rows), {}).get(OURS, {}).get("seconds")
        return operations(self.loss, rows, dim) / seconds / rate if rate and seconds else None

    def ratio(self, dim: int, rows: int, peer: str, what: str = "seconds") -> float | None:
        """The peer's time or memory over ours."""
        ours, theirs = (self.results.get((dim, rows), {}).get(form, {}).get(what) for form in (OURS, peer))
        return theirs / ours if ours and theirs else None

    def header(self) -> list[str]:
        """Names of the columns."""
        return ["rows", *self.forms, "plain / likewise: time", "memory", "share of matrix product"]

    def lines(self) -> Iterator[list[str]]:
        """The columns as text, a line per size."""
        for (dim, rows), line in sorted(self.results.items()):
            ratios = [self.ratio(dim, rows, PLAIN, what) for what in ("seconds", "extra_bytes")]
            share = self.share(dim, rows)
            yield [
                f"2 x {rows} of {dim}",
                *(cell(line.get(form)) for form in self.forms),
                *("" if x is None else f"{x:.1f}x" for x in ratios),
                # small batches keep their tiles, so that they need fewer operations than the formula has
                "" if share is None or rows < 2048 else f"{share:.0%}",
            ]


def better(one: Result, other: Result) -> Result:
    """The faster of two results, with the memory of the leaner one."""
    first, second = sorted((one, other), key=lambda result: result.get("seconds", float("inf")))
    sizes = [result["extra_bytes"] for result in (first, second) if result.get("extra_bytes")]
    return {**first, "extra_bytes": min(sizes)} if sizes else first


def cell(result: Result | None) -> str:
    """Time and extra memory, or why there are none."""
    if result is None:
        return ""
    if "seconds" not in result:
        return str(result["failed"])
    seconds = result["seconds"]
    time = f"{seconds * 1e3:.2g} ms" if seconds < 0.01 else f"{seconds:.3f} s" if seconds < 1 else f"{seconds:.3g} s"
    return time if result["extra_bytes"] is None else f"{time}, {megabytes(result['extra_bytes'])}"


def megabytes(count: float) -> str:
    """Bytes as people read them."""
    return f"{count / MEGABYTE:,.0f} MB" if count >= MEGABYTE else "< 1 MB"


def verdicts(record: Record) -> Iterator[str]:
    """The targets that these results can judge."""
    table = Table(record, "NT-Xent")
    at = (128, 8192)
    memory, share = table.ratio(*at, PLAIN, "extra_bytes"), table.share(*at)
    huge = table.results.get((128, 65536), {}).get(OURS, {}).get("extra_bytes")
    for peer, least in ((PLAIN, 4.0), ("lightly", 8.0)):
        times = table.ratio(*at, peer)
        if times:
            yield _judged(f"at least {least:g}x {peer} at 2 x 8192 of 128", times >= least, f"{times:.1f}x")
    if memory:
        yield _judged("at most 1/50 of plain torch's extra memory there", memory >= 50, f"1/{memory:.0f}")
    if share:
        yield _judged("at least 80% of the matrix-product rate there", share >= 0.8, f"{share:.0%}")
    if huge:
        yield _judged("2 x 65536 of 128 within 1 GB", huge <= 1e9, f"{huge / 1e9:.2f} GB")
    apart = max((disagreement(table) for _, table in tables(record)), default=0.0)
    yield _judged("one value and gradient, whoever computes them", apart < 1e-3, f"within {apart:.0e}")
    ratios = [
        (found, f"{loss} 2 x {rows} of {dim}")
        for loss in ("NT-Xent", "CLIP")
        for dim, rows in Table(record, loss).results
        if (found := Table(record, loss).ratio(dim, rows, PLAIN)) is not None
    ]
    if ratios:
        worst, where = min(ratios)
        yield _judged("never slower than plain torch", worst >= 1, f"least {worst:.2f}x ({where})")


def disagreement(table: Table) -> float:
    """How far values and lengths of gradients are from plain torch's, the largest relative difference."""
    return max(
        (
            abs(one[what] / line[PLAIN][what] - 1)
            for line in table.results.values()
            for form, one in line.items()
            for what in ("value", "gradient")
            if "seconds" in line.get(PLAIN, {}) and "seconds" in one and "bfloat16" not in form
        ),
        default=0.0,
    )


def _judged(target: str, met: bool, number: str) -> str:
    return f"{target}: {number}, {'met' if met else 'NOT met'}"


def rates(record: Record) -> str:
    """The machine and its own speed, in a sentence."""
    found = [
        f"{rate['tiles'] / 1e9:.0f} (512-row tiles of {dim}), {rate['large'] / 1e9:.0f} (2048 x 2048)"
        for dim, rate in record["product_rate"].items()
        if "tiles" in rate
    ]
    facts = record["machine"]
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['threads']} threads, Python {record['python']}, "
        f"{record['date'][:10]}; matrix products in GFLOP/s: {'; '.join(found)}"
    )


def packages(record: Record) -> str:
    """Who was measured, in which version."""
    versions = {**record["versions"], **record["peer_versions"]}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def tables(record: Record) -> Iterator[tuple[str, Table]]:
    """A table per loss, with its title."""
    titles = {"NT-Xent": "NT-Xent: 2 x n rows with each other", "CLIP": "CLIP: n rows with n others, both directions"}
    for loss, title in titles.items():
        table = Table(record, loss)
        if table.results:
            yield title, table


NOTE = (
    "Plain torch: the faster of cross_entropy and logsumexp on the whole matrix, with the memory of the leaner. Share: "
    "2 x 2 (2n)^2 d operations for NT-Xent, 4 x 2 n^2 d for CLIP, per second and over the rate of 512-row tiles."
)


def markdown(record: Record) -> str:
    """The results as tables for a page."""
    parts = ["![Time and extra memory against rows](similarity.png)\n"]
    parts += [f"Time and extra memory of one forward and backward pass. {rates(record)}. {packages(record)}. {NOTE}\n"]
    for title, table in tables(record):
        parts += [f"**{title}**\n", "| " + " | ".join(table.header()) + " |", "|---" * len(table.header()) + "|"]
        parts += ["| " + " | ".join(line) + " |" for line in table.lines()]
        parts.append("")
    judged = [f"- {line}" for line in verdicts(record)]
    return "\n".join([*parts, *(["Targets:\n", *judged] if judged else [])]).rstrip() + "\n"


def show(record: Record) -> None:
    """The results on the terminal."""
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console()
    if not console.is_terminal:
        console = Console(width=180)
    for title, table in tables(record):
        grid = Grid(title=title, title_justify="left")
        for name in table.header():
            grid.add_column(name, justify="left" if name == "rows" else "right")
        for line in table.lines():
            grid.add_row(*line)
        console.print(grid)
    console.print(f"{rates(record)}. {NOTE}", highlight=False)
    for line in verdicts(record):
        console.print(line, highlight=False)


def colours() -> list[str]:
    """The line colours of the library's own pages."""
    css = (files("likewise.report") / "page.css").read_text(encoding="utf-8")
    light = css.split("@media")[0]
    return re.findall(r"--c\d: (#\w{6})", light)


def draw(record: Record, path: Path, dim: int = 128) -> None:
    """Time and memory against rows for both losses, at one width."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = list(tables(record))
    if len({rows for _, table in found for _, rows in table.results}) < 2:
        return  # no line to draw
    names = list(dict.fromkeys(form for _, table in found for form in table.forms))
    ours, plain = colours()[0], "#55606d"
    rest = iter(colours()[1:])
    colour = {name: ours if name == OURS else plain if name == PLAIN else next(rest) for name in names}
    figure, axes = plt.subplots(
        len(found), 2, figsize=(11, 0.6 + 3.9 * len(found)), sharex=True, layout="constrained", squeeze=False
    )
    sizes = sorted({rows for _, table in found for width, rows in table.results if width == dim})
    for row, (title, table) in zip(axes, found):
        sides = (("seconds", "seconds", 1.0), ("extra_bytes", "extra memory, MB", MEGABYTE))
        for axis, (what, says, unit) in zip(row, sides):
            lines = [(n, line) for (width, n), line in sorted(table.results.items()) if width == dim]
            ends = []
            for form in table.forms:
                points = [(rows, line[form][what] / unit) for rows, line in lines if line.get(form, {}).get(what)]
                if not points:
                    continue
                style = {"lw": 2.6, "ms": 4, "zorder": 3} if form == OURS else {"lw": 1.4, "ms": 3, "zorder": 2}
                axis.plot(*zip(*points), color=colour[form], marker="o", **style)
                if what == "extra_bytes":
                    missing = [
                        (n, got["needs_bytes"] / unit)
                        for n, line in lines
                        if "needs_bytes" in (got := line.get(form, {}))
                    ]
                    points = points[-1:] + missing[:1]
                    axis.plot(*zip(*points), color=colour[form], marker="o", ms=3, mfc="white", ls=":", lw=1, zorder=1)
                ends.append((form, *points[-1]))
            axis.set(xscale="log", yscale="log", xlim=(0.85 * sizes[0], sizes[-1] * (sizes[-1] / sizes[0]) ** 0.5))
            axis.set_title(f"{title.split(':')[0]}: {says}", loc="left", fontsize=10)
            axis.grid(True, which="major", color="#e2e6eb", lw=0.8)
            axis.spines[["top", "right"]].set_visible(False)
            label(axis, ends, colour)
    for axis in axes[-1]:
        axis.set_xticks(sizes, [f"{n:,}" for n in sizes], rotation=40, ha="right", fontsize=8)
        axis.minorticks_off()
        axis.set_xlabel("rows of each view; dotted: would not fit, estimated")
    facts = record["machine"]
    figure.suptitle(
        f"Forward and backward of contrastive losses, {dim} dimensions, {facts['cpu']}, {facts['threads']} threads",
        fontsize=10, x=0.01, ha="left",
    )  # fmt: skip
    figure.savefig(path, dpi=150)
    plt.close(figure)


def label(axis: Any, ends: Sequence[tuple[str, float, float]], colour: Mapping[str, str]) -> None:
    """Names beside the ends of the lines, moved apart where they would touch."""
    if not ends:
        return
    low, high = axis.get_ylim()
    step = (high / low) ** 0.065
    at = 0.0
    for form, x, y in sorted(ends, key=lambda end: end[2]):
        at = max(y, at * step)
        weight = "bold" if form == OURS else "normal"
        axis.text(1.15 * x, at, form, color=colour[form], fontsize=8, va="center", fontweight=weight)
    axis.set_ylim(low, max(high, at * step))
