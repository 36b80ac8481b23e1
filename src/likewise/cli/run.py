"""``likewise run``: let an agent act in an environment."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from likewise.cli import terminal
from likewise.cli.arguments import Json, Settings, Size, settings
from likewise.core.errors import InputError


def run(
    method: Annotated[
        str | None,
        typer.Argument(help="An agent's name, or file.py:Class of your own. With --resume it can be left out."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME|PATH", help="combination-lock, low-rank, or an .npz of yours with P and R."),
    ] = None,
    episodes: Annotated[int | None, typer.Option(help="How many.")] = None,
    size: Size = "small",
    changes: Settings = None,
    seed: Annotated[int, typer.Option(help="Decides everything that is random, but for the environment itself.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run folder; by default a new one, runs/METHOD-DATA-N.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out, or begin it.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    json: Json = False,
) -> None:
    """Let an agent act and learn, and tell what it lost against the best policy.

    Stop it with Ctrl-C; --resume goes on to the same numbers as if nothing had happened. A world of your own is an
    .npz with probabilities P, (states, actions, states), and rewards R from 0 to 1, (states, actions).

    Examples:
      likewise run contrastive-ucb
      likewise run contrastive-ucb --data low-rank --episodes 1000 --set data.states=10 --out runs/explorer
      likewise run greedy-lowrank --data world.npz --set data.horizon=10
      likewise run contrastive-ucb --set bonus=0.5 --seed 1 --json
      likewise run --out runs/explorer --resume
    """
    from likewise import api
    from likewise.train.agent import AgentPlan
    from likewise.train.agent import run as play
    from likewise.train.events import Stopped, read_json, read_status

    if resume and out is None:
        raise InputError("--resume needs --out DIR, the run to continue (likewise runs lists them)")
    wanted = settings(changes, episodes=episodes)
    if method is None:
        if not resume or out is None:
            raise InputError("which agent? likewise run METHOD (likewise methods lists them)")
        if wanted or data is not None:
            raise InputError("a run is continued with its own world and settings: leave out METHOD and all but --out")
        plan = AgentPlan.read(out)
    else:
        plan = api.prepare_agent(method, data, size=size, seed=seed, settings=wanted)
    folder = out if out is not None else api.new_folder(plan)
    world = plan.dataset
    said = f"{world.name}, {world.num_states} states, {world.num_actions} actions, {world.horizon} steps an episode"
    terminal.line("world", said, stderr=True)
    terminal.line("method", f"{plan.card.slug} · {plan.recipe.episodes} episodes", stderr=True)
    try:
        play(plan, folder, resume=resume, quiet=quiet)
    except Stopped:
        terminal.line("next", f"likewise run --out {shlex.quote(str(folder))} --resume", stderr=True)
        raise
    metrics = read_json(folder / "metrics.json") or {}
    if json:
        terminal.emit({"run": folder, "method": plan.card.slug, **read_status(folder), "metrics": metrics})
        return
    regret, chance = (terminal.show(held["regret"]) for held in (metrics, metrics["untrained"]))
    last = terminal.show(metrics["final_regret"])
    terminal.line("done", f"{folder}   regret {regret} an episode (at random {chance}), at last {last}")
    terminal.line("next", f"likewise report {shlex.quote(str(folder))}")
