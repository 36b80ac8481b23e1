"""Tests of sources that are not on every machine."""

import pytest

from likewise.data.catalogue import present


def needs(name: str) -> pytest.MarkDecorator:
    """Skip, with the command that brings it, where the source ``name`` is absent."""
    return pytest.mark.skipif(not present(name), reason=f"{name} is not on this machine: likewise data get {name}")
