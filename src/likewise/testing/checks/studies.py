"""What a study promises: runs that can be made, and a reading that depends on their results alone."""

import math
import zlib

from likewise.core import registry
from likewise.core.card import Card
from likewise.core.errors import InputError
from likewise.core.study import Study
from likewise.evaluate.catalogue import METRICS
from likewise.testing.contract import check
from likewise.testing.subject import Subject, expect


def studies_only(card: Card) -> str:
    """For checks of studies."""
    return "" if card.kind == "study" else f"a {card.kind} has no variations"


@check(studies_only)
def variations_can_be_run(subject: Subject) -> None:
    """Each run is asked for once, for every seed, by a learner's name and settings that its recipe has."""
    study: Study = subject.method.cls()
    expect(isinstance(study, Study), "it lacks variations or read")
    asked = list(study.variations([0, 1]))
    names = [repr((v.method, sorted(v.settings.items()), v.seed, v.size)) for v in asked]
    expect(len(set(names)) == len(names) > 0, "a run is asked for twice, or none at all")
    seeds = {
        seed: sorted(repr((v.method, sorted(v.settings.items()))) for v in asked if v.seed == seed) for seed in (0, 1)
    }
    expect(len(asked) == sum(map(len, seeds.values())), "a run has a seed that was not given")
    expect(seeds[0] == seeds[1], "two seeds have different runs")
    expect([repr(v) for v in study.variations([0, 1])] == [repr(v) for v in asked], "asked again, other runs")
    for one in asked:
        try:
            method = registry.load(one.method)
            expect(method.card.kind == "learner", f"{one.method} is no learner")
            recipe = method.recipe(one.size).copy()
            for path, value in one.settings.items():
                recipe.set(path, value)
        except InputError as error:
            expect(False, f"a run of {one.method}: {error}")


@check(studies_only)
def findings_follow_from_results(subject: Subject) -> None:
    """The finding has the columns that it draws, says something, and does not depend on the order of the results."""
    study: Study = subject.method.cls()
    asked = list(study.variations([0, 1, 2]))
    # made-up values between 0 and 1 that differ from run to run
    results = [
        (v, {m: zlib.crc32(f"{v.method}{v.seed}{sorted(v.settings.items())}{m}".encode()) / 2**32 for m in METRICS})
        for v in asked
    ]
    found = study.read(results)
    expect(len(found.rows) > 0 and found.reading.strip() != "", "no rows, or nothing said")
    expect(all(found.x in row for row in found.rows), f"a row has no {found.x!r}")
    for name in (*found.y, *([found.series] if found.series else [])):
        expect(any(name in row for row in found.rows), f"no row has {name!r}")
    numbers = [value for row in found.rows for value in row.values() if isinstance(value, float)]
    expect(all(map(math.isfinite, numbers)), "a value is not finite")
    again = study.read(results[::-1])
    expect(repr(again) == repr(found), "results in another order give another finding")
