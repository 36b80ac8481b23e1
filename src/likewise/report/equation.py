"""A LaTeX equation as inline SVG, without LaTeX and without network."""

import re

from markupsafe import Markup

_SIZE = 18  # pixels of an em

# what papers write and matplotlib's mathtext reads only in another spelling
_SPELLINGS = (
    (r"\\tfrac(?![a-zA-Z])", r"\\frac"),
    (r"\\lVert\b|\\rVert\b", r"\\Vert "),
    (r"\\lvert\b|\\rvert\b", r"\\vert "),
    (r"\\(?:textrm|textnormal|mbox)\b", r"\\text"),
    (r"\\(?:mathbbm|mathds)\b", r"\\mathbb"),
    (r"\\(?:boldsymbol|bm)\b", r"\\mathbf"),
    (r"\\(?:nolimits|limits|displaystyle|nonumber|notag)\b", ""),
    (r"\\operatorname\*", r"\\operatorname"),
    (r"\\(?:begin|end)\{(?:aligned|align\*?|equation\*?|split|gathered)\}", ""),
    (r"\\label\{[^}]*\}", ""),
    # sums that stand side by side touch with their bounds
    (r"(?<=[}\w])\s*\\sum(?![a-z])", r"\\;\\sum"),
    (r"\\frac\s*(\w)\s*(\w)", r"\\frac{\1}{\2}"),
    (r"\\frac\s*(\w)\s*\{", r"\\frac{\1}{"),
)
_SIZED = r"\\(?:big|Big|bigg|Bigg)[lrm]?(?![a-zA-Z])\s*"
_OPENING, _CLOSING = r"[\[(]|\\\{|\\langle\b|\\lfloor\b|\\lceil\b", r"[\])]|\\\}|\\rangle\b|\\rfloor\b|\\rceil\b"


def equation(latex: str) -> Markup:
    r"""The equation drawn in the text's colour; its source in monospace where mathtext can't read it.

    Lines are separated by ``\\``. An empty text gives nothing.
    """
    latex = latex.strip().strip("$").strip()
    if not latex:
        return Markup("")
    text = latex
    for pattern, spelling in _SPELLINGS:
        text = re.sub(pattern, spelling, text)
    grown = re.sub(f"{_SIZED}({_CLOSING})", r"\\right\1", re.sub(f"{_SIZED}({_OPENING})", r"\\left\1", text))
    label = Markup('<div class="equation" role="img" aria-label="{}">').format(latex)
    # brackets that grow, if they come in pairs; else brackets as they are; else the source
    for spelling in (_tall_fractions(grown), re.sub(_SIZED, "", text)):
        lines = [line.replace("&", " ").strip() for line in re.split(r"\\\\(?:\[[^\]]*\])?", spelling)]
        try:
            return label + Markup("").join(_draw(line) for line in lines if line) + Markup("</div>")
        except ValueError:  # mathtext's word for what it can't read
            continue
    return Markup('<pre class="latex">{}</pre>').format(latex)


def _tall_fractions(text: str) -> str:
    """Fractions of full height, except in exponents and indices."""
    out, depths = "", [False]
    for i, sign in enumerate(text):
        if sign == "{":
            depths.append(depths[-1] or text[i - 1 : i] in ("^", "_"))
        elif sign == "}" and len(depths) > 1:
            depths.pop()
        out += "\\d" if sign == "\\" and text.startswith("\\frac", i) and not depths[-1] else sign
    return out


def _draw(line: str) -> Markup:
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), f"${line}$", size=_SIZE, usetex=False)
    box = path.get_extents()
    letters = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
    parts = []
    for points, code in path.iter_segments(simplify=False, curves=True):
        if code == Path.CLOSEPOLY:
            parts.append("Z")
        else:
            # SVG's vertical axis points down
            pairs = " ".join(f"{x:.1f} {-y:.1f}" for x, y in points.reshape(-1, 2))
            parts.append(f"{letters[code]}{pairs}")
    left, top, width, height = box.x0 - 1, -box.y1 - 1, box.width + 2, box.height + 2
    return Markup(
        '<svg viewBox="{:.1f} {:.1f} {:.1f} {:.1f}" width="{:.0f}" height="{:.0f}" aria-hidden="true">'
        '<path fill="currentColor" d="{}"/></svg>'
    ).format(left, top, width, height, width, height, "".join(parts))
