"""Views of text: the tokens as they are."""

from torch import nn

from likewise.core.batch import Tokens, View
from likewise.core.draws import Draws
from likewise.core.errors import InputError
from likewise.core.recipe import part


@part("views", "text")
class Text(nn.Module):
    """The windows of tokens, unchanged: a language model needs no second view."""

    def forward(self, columns: dict[str, View], draws: Draws) -> dict[str, View]:
        """``text``."""
        return self.plain(columns)

    def plain(self, columns: dict[str, View]) -> dict[str, View]:
        """``text``."""
        if not isinstance(columns.get("text"), Tokens):
            raise InputError(f"these views are for text; the data has {', '.join(columns)}")
        return {"text": columns["text"]}
