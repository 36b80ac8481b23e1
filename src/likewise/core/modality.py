"""What a column of one modality is: told by the data, asked for by views and encoders."""

import re
from dataclasses import dataclass
from typing import Literal, cast

from likewise.core.errors import InputError

Kind = Literal["image", "text", "vector"]


@dataclass(frozen=True)
class Modality:
    """One modality of a data set.

    Attributes:
        name: of the column.
        kind: of its values, which decides about the encoder.
        shape: of one value: ``(c, h, w)`` of an image, ``(f,)`` of a vector, how many tokens there are of a text.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name}={self.kind}:{'x'.join(map(str, self.shape))}"

    @classmethod
    def parse(cls, text: str) -> "Modality":
        """Back from the text of one, as recipes hold it.

        Raises:
            InputError: it is none.
        """
        match = re.fullmatch(r"(.+)=(image|text|vector):(\d+(?:x\d+)*)", text, re.DOTALL)
        if match is None:
            raise InputError(f"modality {text!r}: expected NAME=KIND:SHAPE, like photo=image:3x32x32")
        return cls(match[1], cast(Kind, match[2]), tuple(map(int, match[3].split("x"))))
