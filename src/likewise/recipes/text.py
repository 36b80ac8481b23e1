"""Recipes of language models: Python's help for tests, the King James Bible for claims, a folder for the papers'."""

from typing import Any

from likewise.core.recipe import Recipe, spec
from likewise.data.text import king_james, python_topics, text
from likewise.evaluate.generation import Generation
from likewise.parts.encoders.gpt import GPT
from likewise.parts.optimizers import adamw
from likewise.parts.schedules import cosine
from likewise.views.text import Text


def tiny_text(method: type, /, **settings: Any) -> Recipe:
    """For tests: milliseconds a step on a few topics of Python's help."""
    return Recipe(
        spec(method, **{"encoder": spec(GPT, depth=1, dim=16, heads=2), **settings}),
        data=spec(python_topics, length=16, words=50, topics=3),
        views=spec(Text),
        optimizer=spec(adamw, lr=3e-3, weight_decay=0.01),
        schedule=spec(cosine),
        batch=8,
        steps=10,
        measure=spec(Generation, prompts=4, prefix=4, steps=6, rows=50),
    )


def small_text(method: type, /, **settings: Any) -> Recipe:
    """A minute on one core: two blocks of width 64 on the King James Bible."""
    return Recipe(
        spec(method, **{"encoder": spec(GPT, depth=2, dim=64, heads=4), **settings}),
        data=spec(king_james),
        views=spec(Text),
        optimizer=spec(adamw, lr=3e-3, weight_decay=0.1),
        schedule=spec(cosine, warmup=0.05),
        batch=16,
        steps=400,
        clip=1.0,
        probe_every=0.5,
        measure=spec(Generation, rows=400),
    )


def published_text(method: type, /, **settings: Any) -> Recipe:
    """GPT-2 small's size for 40,000 steps of 128 rows of 256 tokens, on a folder of text of the user's."""
    return Recipe(
        spec(method, **{"encoder": spec(GPT, depth=12, dim=768, heads=12, dropout=0.1), **settings}),
        data=spec(text, path="wikitext-103", length=256, words=50_000),
        views=spec(Text),
        optimizer=spec(adamw, lr=2e-5, weight_decay=0.0),
        schedule=spec(cosine, warmup=0.05),
        batch=128,
        steps=40_000,
        clip=1.0,
        measure=spec(Generation, decoders=("greedy", "nucleus", "contrastive-search k=8"), steps=128),
    )
