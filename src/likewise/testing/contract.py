"""The contract of a method, as checks that know no method: switched on by its card's traits, off by a named waiver.

``run_checks(registry.load("dcl"))`` runs all of them; ``likewise check my_module:MyMethod`` prints the results.
"""

import importlib
import pkgutil
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from likewise.core.card import Card
from likewise.core.registry import Method
from likewise.testing.pool import Pool
from likewise.testing.subject import ContractError, Subject


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: of the check; a waiver names it.
        passed: true also for a check that was skipped.
        skipped_reason: why the check does not apply; "" when it ran.
        message: what is wrong; "" when it passed.
        seconds: that it took.
    """

    name: str
    passed: bool
    skipped_reason: str = ""
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Check:
    """One promise of the contract.

    Attributes:
        name: of the function, with dashes.
        says: the promise, in a sentence.
        run: raises :class:`ContractError` where a subject breaks it.
        unless: card -> why the promise does not concern such a method, or "".
    """

    name: str
    says: str
    run: Callable[[Subject], None]
    unless: Callable[[Card], str]

    def skipped(self, card: Card) -> str:
        """Why the check does not run on a method: its traits, or its waiver; "" if it runs."""
        return self.unless(card) or dict(card.waivers).get(self.name, "")


_checks: dict[str, Check] = {}


def _always(card: Card) -> str:
    return ""


def learners_only(card: Card) -> str:
    """For checks of methods that train."""
    return "" if card.kind == "learner" else f"a {card.kind} does not train by steps"


def rows_alone(card: Card) -> str:
    """For checks that cut, repeat or permute the rows of a batch."""
    return learners_only(card) or ("its batch is a whole graph" if card.traits.whole else "")


def check(
    unless: Callable[[Card], str] = learners_only,
) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Register a function as a check; its docstring's first line is the promise.

    Args:
        unless: card -> why such a method is not concerned, or "".
    """

    def add(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
        name = function.__name__.replace("_", "-")
        if name in _checks:
            raise ValueError(f"two checks are named {name!r}")
        says = str(function.__doc__).splitlines()[0].replace("``", "`")
        _checks[name] = Check(name, says, function, unless)
        return function

    return add


def for_cards(function: Callable[[Subject], None]) -> Callable[[Subject], None]:
    """Register a check of the card alone, for methods of every kind."""
    return check(_always)(function)


def all_checks() -> list[Check]:
    """Every check, by name."""
    from likewise.testing import checks

    for module in pkgutil.iter_modules(checks.__path__):
        importlib.import_module(f"{checks.__name__}.{module.name}")
    return [_checks[name] for name in sorted(_checks)]


def pairs(cards: Iterable[Card]) -> list[tuple[str, Check]]:
    """Every ``(slug, check)`` that runs. Its number may grow, but not fall: a suite that skips is green, too."""
    return [(card.slug, one) for card in cards for one in all_checks() if not one.skipped(card)]


def run_checks(method: Method, *, pool: Pool | None = None) -> list[CheckResult]:
    """Run every check on a method; takes seconds.

    Args:
        method: from :func:`likewise.core.registry.load` or ``load_file``.
        pool: processes to use; started and ended here otherwise.

    Returns:
        A result for each check, those that don't apply with the reason.
    """
    subject = Subject(method, pool)
    try:
        return [run_check(one, subject) for one in all_checks()]
    finally:
        subject.close()


def run_check(one: Check, subject: Subject) -> CheckResult:
    """Run one check, and turn whatever it raises into a message."""
    reason = one.skipped(subject.card)
    if reason:
        return CheckResult(one.name, True, reason)
    start, message = time.perf_counter(), ""
    try:
        one.run(subject)
    except ContractError as error:
        message = str(error)
    except Exception as error:
        # the method's own line says more than the check's
        at = traceback.extract_tb(error.__traceback__)[-1]
        message = f"{type(error).__name__}: {error} (in {at.name}, {at.filename}:{at.lineno})"
    return CheckResult(one.name, not message, "", message, time.perf_counter() - start)


def report(method: Method, results: Iterable[CheckResult]) -> str:
    """The results in plain text, failures last, with a line that counts them."""
    results = list(results)
    says = {one.name: one.says for one in all_checks()}
    wide = max(map(len, says))
    lines = []
    for r in sorted(results, key=lambda r: (not r.passed, r.name)):
        state = "skipped" if r.skipped_reason else "ok" if r.passed else "FAILED"
        lines.append(f"{state:8} {r.name:{wide}} {r.skipped_reason or says[r.name]}")
        lines += [f"{'':8} {line}" for line in r.message.splitlines()]
    ran = [r for r in results if not r.skipped_reason]
    failed = sum(not r.passed for r in ran)
    skipped = len(results) - len(ran)
    lines.append(f"{method.card.slug}: {len(ran) - failed} of {len(ran)} checks passed, {skipped} do not apply")
    return "\n".join(lines)
