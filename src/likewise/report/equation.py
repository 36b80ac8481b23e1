"""A LaTeX equation as inline SVG, without LaTeX and without network."""

import re

from markupsafe import Markup

_SIZE = 18  # pixels of an em

# what papers write and matplotlib's mathtext reads only in another spelling
_SPELLINGS = (
    (r"\\(?:tfrac|dfrac)\b", r"\\frac"),
    (r"\\(?:big|Big|bigg|Bigg)[lrm]?(?![a-zA-Z])", ""),
    (r"\\lVert\b|\\rVert\b", r"\\Vert"),
    (r"\\lvert\b|\\rvert\b", r"\\vert"),
    (r"\\(?:textrm|textnormal|mbox)\b", r"\\text"),
    (r"\\(?:mathbbm|mathds)\b", r"\\mathbb"),
    (r"\\(?:boldsymbol|bm)\b", r"\\mathbf"),
    (r"\\(?:nolimits|limits|displaystyle|nonumber|notag)\b", ""),
    (r"\\(?:le)(?![a-zA-Z])", r"\\leq"),
    (r"\\(?:ge)(?![a-zA-Z])", r"\\geq"),
    (r"\\ne(?![a-zA-Z])", r"\\neq"),
    (r"\\to\b", r"\\rightarrow"),
    (r"\\(?:land)\b", r"\\wedge"),
    (r"\\(?:lnot)\b", r"\\neg"),
    (r"\\operatorname\*", r"\\operatorname"),
    (r"\\(?:begin|end)\{(?:aligned|align\*?|equation\*?|split|gathered)\}", ""),
    (r"\\label\{[^}]*\}", ""),
)


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
    lines = [line.replace("&", " ").strip() for line in re.split(r"\\\\(?:\[[^\]]*\])?", text)]
    try:
        drawn = [_draw(line) for line in lines if line]
    except ValueError:  # mathtext's word for what it can't read
        return Markup('<pre class="latex">{}</pre>').format(latex)
    label = Markup('<div class="equation" role="img" aria-label="{}">').format(latex)
    return label + Markup("").join(drawn) + Markup("</div>")


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
