"""Text as numbers and back: a vocabulary of words with characters to spell the rest, learned from the text itself."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

PIECES = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s")
"""Words, numbers, other signs, each with the blank before it, and what is left of the blanks. Loses nothing."""
PAD, UNKNOWN, END = "<pad>", "<unknown>", "<end>"
SPECIAL = (PAD, UNKNOWN, END)
"""Tokens that no text has. ``<end>`` also stands before each text, so that its first token is predicted, too."""
LARGEST_ALPHABET = 4096


class Vocabulary:
    """Tokens by number. Pieces of a text that are no token are spelt by character; unknown characters are one token.

    Args:
        tokens: the special ones first, then characters, then words.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        if tuple(tokens[: len(SPECIAL)]) != SPECIAL or len(set(tokens)) != len(tokens):
            raise ValueError("a vocabulary starts with its special tokens, and has each token once")
        self.tokens = tuple(tokens)
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        for token in SPECIAL:
            del self._ids[token]  # they can't be typed
        self.pad, self.unknown, self.end = range(len(SPECIAL))

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def of(cls, texts: Iterable[str], words: int = 2000) -> "Vocabulary":
        """What texts are made of: their characters, and the most common words; always the same for the same texts.

        Args:
            texts: to learn from.
            words: how many at most, of those that come twice or more; 0: characters alone.
        """
        pieces: Counter[str] = Counter()
        for text in texts:
            pieces.update(PIECES.findall(text))
        signs: Counter[str] = Counter()
        for piece, count in pieces.items():
            for sign in piece:
                signs[sign] += count
        common = [(piece, c) for piece, c in pieces.items() if len(piece) > 1 and c > 1]
        alphabet = _most(signs.items(), LARGEST_ALPHABET)
        return cls([*SPECIAL, *alphabet, *(w for w in _most(common, words) if w not in SPECIAL)])

    def encode(self, text: str) -> list[int]:
        """Numbers of the tokens of a text."""
        out: list[int] = []
        for piece in PIECES.findall(text):
            known = self._ids.get(piece)
            out += [self._ids.get(sign, self.unknown) for sign in piece] if known is None else [known]
        return out

    def decode(self, ids: Iterable[int]) -> str:
        r"""The text of tokens; special ones are nothing, but an unknown character is ``\ufffd``."""
        words = ("\ufffd" if i == self.unknown else "" if i in (self.pad, self.end) else self.tokens[i] for i in ids)
        return "".join(words)


def _most(counts: Iterable[tuple[str, int]], limit: int) -> list[str]:
    return [piece for piece, _ in sorted(counts, key=lambda pair: (-pair[1], pair[0]))[:limit]]
