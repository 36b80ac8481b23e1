"""The matrix of (method, check) pairs, its number printed and compared with the committed one."""

import json
from pathlib import Path

import pytest

COUNT = Path(__file__).with_name("count.json")


def matrix() -> list:
    from likewise.core import registry
    from likewise.testing.contract import pairs

    return pairs(listing.card for listing in registry.listings().values())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"slug", "check"} <= set(metafunc.fixturenames):
        found = matrix()
        metafunc.parametrize(("slug", "check"), found, ids=[f"{slug}-{check.name}" for slug, check in found])


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    found = matrix()
    methods = len({slug for slug, _ in found})
    terminalreporter.write_line(f"contract: {methods} methods, {len(found)} (method, check) pairs")
    if config.getoption("--update-count"):
        COUNT.write_text(json.dumps({"pairs": len(found)}) + "\n", encoding="utf-8")
