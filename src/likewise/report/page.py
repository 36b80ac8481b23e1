"""From a template and plain values to one HTML file that needs nothing else: no network, no second file."""

import base64
import contextlib
import functools
import hashlib
import json
import math
import os
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from likewise import __version__
from likewise.core.errors import InputError
from likewise.report.card import paper_link

_HERE = Path(__file__).parent
DASH = "–"


def number(value: Any, digits: int = 3) -> str:
    """A number for people: three significant digits, thousands apart, words for what is none.

    >>> [number(v) for v in (0.83412, 12345.6, 1e-05, float("nan"), None)]
    ['0.834', '12,346', '1e-05', 'not a number', '–']
    """
    if value is None:
        return DASH
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    size = abs(value)
    if value == int(value) and size < 1e15:
        return f"{int(value):,}"
    if size >= 1000:
        return f"{value:,.0f}"
    if size < 0.01:
        return f"{value:.2g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    return f"{value:.{decimals}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """A difference with its sign; a true minus so that columns align."""
    if value is None or not math.isfinite(value):
        return DASH
    text = number(abs(value), digits)
    return ("+" if value > 0 else "\u2212" if value < 0 else "\u00b1") + text


def duration(seconds: float | None) -> str:
    """Seconds as ``"4 min 10 s"``."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def size(count: float | None) -> str:
    """Bytes as ``"1.2 GB"``."""
    if count is None or not math.isfinite(count):
        return DASH
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def plain(value: Any) -> Any:
    """Values that JSON has: numbers that are none become null, arrays become lists."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Sequence):
        return [plain(v) for v in value]
    return value if math.isfinite(value) else None


def script_json(value: Any) -> Markup:
    """JSON that can stand inside a script element: no ``<``, ``>`` or ``&`` is left in it, so no tag can end it."""
    text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def data_uri(content: bytes, kind: str) -> str:
    """``content`` inlined as a URI; ``kind`` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def address(path: str) -> str:
    """A relative path as a link; signs that mean something in an address are quoted, so it can't be anything else."""
    return urllib.parse.quote(path.replace("\\", "/"), errors="surrogateescape")


@functools.cache
def _templates() -> Environment:
    env = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    env.filters.update(signed=signed, duration=duration, size=size, script_json=script_json, paper_link=paper_link)
    env.filters["number"] = lambda value, digits=3: number(value, digits).replace("-", "\u2212")
    env.globals["DASH"] = DASH
    return env


@functools.cache
def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def render(template: str, scripts: Sequence[str] = (), data: Any = None, **values: Any) -> str:
    """A page as text.

    The page's security policy allows the scripts that are inlined here, by their hash, and nothing else: no address
    is ever contacted, and an event handler hidden in a file name would not run even if escaping failed.

    Args:
        template: file beside this module.
        scripts: JavaScript files beside this module, run in this order.
        data: what the scripts read, from the element ``#data``.
        values: names for the template.
    """
    sources = [_asset(name) for name in scripts]
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in sources]
    policy = [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        "script-src " + (" ".join(f"'sha256-{h}'" for h in hashes) or "'none'"),
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return (
        _templates()
        .get_template(template)
        .render(
            style=Markup(_asset("page.css")),
            scripts=[Markup(s) for s in sources],
            policy="; ".join(policy),
            data=data,
            version=__version__,
            **values,
        )
    )


def write(path: Path, text: str) -> Path:
    """Write a page whole or not at all. Signs that UTF-8 lacks (undecodable file names) become question marks."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8", errors="replace")
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise InputError(f"can't write {path}: {error.strerror or error}") from error
    return path
