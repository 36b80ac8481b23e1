"""Language models of other people: causal models of ``transformers`` behind the interface that the loop needs."""

from pathlib import Path
from typing import Any

from torch import Tensor

from likewise.core.errors import InputError, require
from likewise.parts.generation import Writer


class CausalLM:
    """A causal language model of Hugging Face's ``transformers`` as a :class:`likewise.parts.generation.LanguageModel`.

    Args:
        model: called with ``input_ids``, ``past_key_values``, ``use_cache`` and ``output_hidden_states``; its caches
            have ``batch_select_indices``, as those of transformers 4.42 and later.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def read(self, ids: Tensor, cache: Any = None) -> tuple[Tensor, Tensor, Any]:
        """Logits, hidden states after the last norm, and cache of new tokens."""
        out = self.model(input_ids=ids, past_key_values=cache, use_cache=True, output_hidden_states=True)
        return out.logits, out.hidden_states[-1], out.past_key_values

    def select(self, cache: Any, index: Tensor) -> Any:
        """The same cache object, changed in place."""
        if not hasattr(cache, "batch_select_indices"):
            raise InputError(f"a cache of type {type(cache).__name__} can't be cut into rows: update transformers")
        cache.batch_select_indices(index)
        return cache


def writer(model: Any, tokenizer: Any) -> Writer:
    """A causal model of ``transformers``, put into evaluation mode, and its tokenizer, to write text with."""
    end, start = tokenizer.eos_token_id, tokenizer.bos_token_id
    return Writer(
        model=CausalLM(model.eval()),
        encode=lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"]),
        decode=lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=True)),
        start=end if start is None else start,
        end=end,
        device=getattr(model, "device", "cpu"),
    )


def load(folder: str | Path) -> Writer:
    """From a folder on this machine; nothing is downloaded, and no code in the folder is run.

    Raises:
        InputError: no such folder, or no such model in it.
    """
    if not Path(folder).is_dir():
        raise InputError(f"no folder at {str(folder)!r}: models are read from this machine alone")
    transformers = require("transformers", "text", "a model of transformers")
    held = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(str(folder), use_safetensors=True, **held)
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), **held)
    except (OSError, ValueError, KeyError) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{str(folder)!r} holds no causal model with safetensors and tokenizer: {said}") from error
    return writer(model, tokenizer)
