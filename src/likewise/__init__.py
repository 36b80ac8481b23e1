"""Learn embeddings from what is alike: published contrastive methods behind one interface.

Everything is imported when it is first used, so that the command line answers at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from likewise.api import Run as Run
    from likewise.api import fit as fit
    from likewise.api import load as load
    from likewise.comparison import compare as compare

_LAZY = {"fit": "likewise.api", "load": "likewise.api", "compare": "likewise.comparison", "Run": "likewise.api"}
_MODULES = ("losses", "functional", "similarity", "sklearn", "testing")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"likewise.{name}")
    raise AttributeError(f"module 'likewise' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY, *_MODULES])
