"""A method's card in words and links; light enough for the command line."""

import re

from likewise.core.card import Card

STATUS = {
    "exact": "the paper's equation and parts",
    "adapted": "the paper's idea with parts of ours",
    "small": "the mechanism on a small stand-in for a backbone that can't be had here",
}
_SPLITS = {
    "mean": "The loss is a mean over rows: it runs on any number of devices.",
    "gather": "Each row is compared with the rows of every device.",
    "statistics": "The loss goes through sums over the rows of every device.",
    "single": "It runs on one device only.",
}


def traits(card: Card) -> list[str]:
    """How the method behaves in training, a sentence each; nothing of what does not train."""
    if card.kind in ("decoder", "study"):
        return []
    held = card.traits
    out = [_SPLITS[held.splits]]
    if held.min_batch > 1:
        out.append(f"The smallest batch with a defined loss has {held.min_batch} samples.")
    if held.cacheable:
        out.append("Gradient caching (`--set micro=N`) trains large batches in little memory.")
    if held.needs:
        out.append(f"It needs {', '.join(need.removeprefix('extra:') for need in held.needs)}.")
    if held.memory:
        out.append(f"Beside the weights it keeps: {', '.join(held.memory)}.")
    if not held.row_independent and card.kind == "learner":
        out.append("In training, an embedding depends on the other rows of its batch (batch norm).")
    return out


def paper_link(paper: str) -> str:
    """Address of a paper given as ``arXiv:2110.06848``, a DOI or a URL; "" when it is none of these."""
    text = paper.strip()
    if found := re.match(r"arxiv:\s*([\w./-]+)", text, re.IGNORECASE):
        return f"https://arxiv.org/abs/{found[1]}"
    if found := re.match(r"(?:doi:\s*)?(10\.\d{4,}/\S+)", text, re.IGNORECASE):
        return f"https://doi.org/{found[1]}"
    return text.split()[0] if text.startswith(("https://", "http://")) else ""


def code_link(code: str) -> str:
    """Address of a repository given as ``owner/name (licence)`` or a URL; "" when it is neither."""
    if found := re.match(r"([A-Za-z0-9][\w-]*/[\w.-]+)(?=$|[\s,;(])", code.strip()):
        return f"https://github.com/{found[1]}"
    return paper_link(code) if code.startswith("http") else ""
