"""``likewise decode``: go on with a text."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json, settings
from likewise.core.errors import InputError


def decode(
    decoder: Annotated[str, typer.Argument(metavar="DECODER", help="How: contrastive-search, greedy, nucleus, ...")],
    run: Annotated[Path | None, typer.Option(metavar="RUN", help="Run folder of a language model.")] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Instead: a folder with a causal model of transformers.")
    ] = None,
    prompt: Annotated[
        list[str] | None, typer.Option(help="Text to go on with; can be repeated. From stdin if not given.")
    ] = None,
    steps: Annotated[int, typer.Option("-n", "--steps", help="Tokens to write, at most.")] = 64,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting of the decoder, like k=5.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn.")] = 0,
    stop: Annotated[bool, typer.Option("--stop/--go-on", help="Stop where the model ends the text.")] = True,
    json: Json = False,
) -> None:
    """Go on with a text, by a language model that was trained here or one in a folder.

    The prompt and what follows are printed. likewise methods --modality text lists the decoders.

    Examples:
      likewise decode contrastive-search --run runs/gpt --prompt "And God said"
      likewise decode nucleus --run runs/gpt --prompt "And God said" --set p=0.9 --seed 1
      echo "And God said" | likewise decode greedy --run runs/gpt -n 32
      likewise decode contrastive-search --model ~/models/gpt2 --prompt "The sea" --set k=5 --json
    """
    if (run is None) == (model is None):
        raise InputError("give a trained run (--run RUN) or a folder with a model (--model FOLDER), one of them")
    if steps < 1:
        raise InputError(f"--steps {steps}: at least 1 token")
    from likewise.parts.generation import decoder as make_decoder

    chosen = make_decoder(decoder, dict(settings(changes)))
    if model is not None:
        from likewise.parts.pretrained import load

        writer = load(model)
    else:
        from likewise.api import Run

        assert run is not None
        writer = Run(run).writer
    prompts = prompt if prompt is not None else [_from_stdin()]
    texts = writer.write(prompts, chosen, steps, seed=seed, stop=stop)
    if json:
        written = [{"prompt": a, "text": b} for a, b in zip(prompts, texts)]
        terminal.emit({"decoder": decoder, "run": run, "model": model, "seed": seed, "texts": written})
        return
    for before, text in zip(prompts, texts):
        sys.stdout.write(f"{before}{text}\n")


def _from_stdin() -> str:
    if sys.stdin.isatty():
        terminal.note("the text to go on with, then Ctrl-D:")
    try:
        return sys.stdin.read().rstrip("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"stdin is not text in UTF-8: {error.reason} at byte {error.start}") from error
