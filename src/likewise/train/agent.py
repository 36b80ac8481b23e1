"""A whole run of an agent in its folder: episodes, what they cost against the best policy, and checkpoints."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from likewise import __version__
from likewise.core import registry
from likewise.core.agent import Agent, Course, Environment, Experience
from likewise.core.card import Card
from likewise.core.errors import InputError
from likewise.core.recipe import Spec
from likewise.data.environments import Tabular, resolve_environment
from likewise.train import checkpoint
from likewise.train.display import make_display
from likewise.train.events import EventLog, Heartbeat, Stopped, read_events, read_json, read_status, write_json
from likewise.train.run import leave, open_folder, peak_memory_mb
from likewise.train.signals import Signals

LAST = 0.1
"""Share of the episodes at the end that tell what was reached."""


@dataclass
class AgentPlan:
    """Everything that decides a run of an agent.

    Attributes:
        card: of the method.
        recipe: resolved.
        seed: of all that is drawn.
        size: which of the method's recipes it came from.
        facts: what the environment told the agent.
        source: ``module`` or file that registers the method, for methods from outside.
    """

    card: Card
    recipe: Course
    seed: int
    size: str
    facts: dict[str, Any]
    source: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def dataset(self) -> Tabular:
        """A fresh environment."""
        found: Tabular = self.recipe.data.build()
        return found

    def agent(self) -> Agent:
        """A fresh agent, drawn from the seed without touching the global generator."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            out: Agent = self.recipe.learner.build(**self.facts)
        return out

    def to_json(self) -> dict[str, Any]:
        """What ``recipe.json`` holds."""
        return {
            "method": self.card.slug,
            "size": self.size,
            "seed": self.seed,
            "source": self.source,
            "version": __version__,
            "facts": self.facts,
            "recipe": self.recipe.to_json(),
        }

    @classmethod
    def read(cls, folder: Path) -> "AgentPlan":
        """The plan of the run in ``folder``.

        Raises:
            InputError: there is no run of an agent, or its recipe is damaged.
        """
        path = folder / "recipe.json"
        held = read_json(path)
        if held is None or not {"method", "recipe", "facts", "seed", "size"} <= set(held):
            raise InputError(f"{folder} is not a run folder, or its recipe.json is damaged (likewise runs lists runs)")
        method = registry.load_file(held["source"]) if held.get("source") else registry.load(held["method"])
        if method.card.kind != "agent":
            raise InputError(f"{folder} is no agent's run: likewise train --out {folder} --resume continues it")
        try:
            course = Course.from_json(held["recipe"])
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise InputError(f"{path} is damaged: {error}") from error
        return cls(method.card, course, held["seed"], held["size"], held["facts"], held.get("source", ""))


def prepare(
    method: registry.Method,
    *,
    data: Any = None,
    size: str = "small",
    seed: int = 0,
    settings: Sequence[tuple[str, Any]] = (),
    source: str = "",
) -> AgentPlan:
    """Resolve an agent, an environment and settings; every wrong setting is found here, before anything runs.

    Args:
        method: a loaded method of kind ``agent``.
        data: an environment's name, the path of an ``.npz``, an environment part, or None for the recipe's own.
        size: of the recipe.
        seed: of the run.
        settings: ``(path, value)`` over the recipe's.
        source: where a method from outside is registered.
    """
    if method.card.kind != "agent":
        raise InputError(f"{method.card.slug} is no agent: likewise train runs it")
    made: Any = method.recipe(size)
    course: Course = made.copy()
    if isinstance(data, Spec):
        course.data = data
    elif isinstance(data, str | Path):
        course.data = resolve_environment(str(data))
    elif data is not None:
        raise InputError(f"an agent acts in an environment, not in data of type {type(data).__name__}")
    for path, value in settings:
        course.set(path, value)
    if course.episodes < 1:
        raise InputError(f"episodes={course.episodes} must be at least 1")
    world: Environment = course.data.build()
    facts = {name: getattr(world, name) for name in ("num_states", "num_actions", "horizon")}
    plan = AgentPlan(method.card, course, seed, size, facts, source)
    plan.recipe = course.resolve(**facts)
    plan.agent()
    return plan


def episode_generator(seed: int, episode: int) -> torch.Generator:
    """The random numbers of one episode: nothing of them needs saving."""
    return torch.Generator().manual_seed((seed + 1) * 1_000_003 + episode)


def play(world: Environment, agent: Agent, generator: torch.Generator) -> float:
    """One episode by the agent's policy; what it collected."""
    state, collected = world.reset(generator), 0.0
    for step in range(world.horizon):
        action = agent.act(step, state, generator)
        following, reward, ended = world.step(action, generator)
        agent.observe(Experience(step, state, action, reward, following))
        state, collected = following, collected + reward
        if ended:
            break
    return collected


def run(plan: AgentPlan, folder: Path, *, resume: bool = False, quiet: bool = False) -> None:
    """Run the agent of ``plan`` in ``folder`` and write its metrics; continue what is there if ``resume``.

    Raises:
        InputError: the folder holds another run, or this one and ``resume`` is false.
        Stopped: a signal asked to stop; the run is saved.
    """
    mine = read_json(folder / "recipe.json") == plan.to_json()
    if resume and mine and read_status(folder).get("state") == "finished":
        return
    open_folder(plan, folder, resume)
    log = EventLog(folder / "events.jsonl")
    beat = Heartbeat(folder / "status.json", epochs=1, method=plan.card.slug)
    beat.__enter__()  # it ends with a last word, not with a block
    try:
        _work(plan, folder, log, beat, quiet)
    except BaseException as error:
        state = "interrupted" if isinstance(error, Stopped | KeyboardInterrupt) else "failed"
        leave(beat, log, state, str(error) or type(error).__name__)
        raise


def _work(plan: AgentPlan, folder: Path, log: EventLog, beat: Heartbeat, quiet: bool) -> None:
    world, agent, episodes = plan.dataset, plan.agent(), plan.recipe.episodes
    best, began, before = world.optimal(), time.monotonic(), 0.0
    done, total = 0, 0.0
    restored = checkpoint.load(folder / "checkpoints")
    if restored is not None:
        done, state = restored
        checkpoint.load_weights(agent, state["learner"], f"checkpoint of episode {done} in {folder}")
        for name, optimizer in agent.optimizers().items():
            optimizer.load_state_dict(state["optimizers"][name])
        total, before = state["total"], state["seconds"]
        log.cut(done)
    else:
        log.write("start", step=0)
    display, saved = make_display(quiet), time.monotonic()

    def seconds() -> float:
        return before + time.monotonic() - began

    def save() -> None:
        state = {
            "learner": agent.state_dict(),
            "optimizers": {name: o.state_dict() for name, o in agent.optimizers().items()},
            "total": total,
            "seconds": seconds(),
        }
        checkpoint.save(folder / "checkpoints", done, state)
        log.write("checkpoint", step=done)

    with Signals() as signals:
        while done < episodes:
            generator = episode_generator(plan.seed, done)
            logs = dict(agent.begin(done, generator))
            regret = best - world.value(agent.policy())
            collected = play(world, agent, generator)
            done, total = done + 1, total + regret
            logs |= {"regret": regret, "total_regret": total, "collected": collected}
            log.write("step", step=done, **logs)
            beat.update(step=done, steps=episodes)
            if done == episodes or done * 10 // episodes > (done - 1) * 10 // episodes:
                display.note(f"episode {done}/{episodes}  regret {regret:.3f}, {total / done:.3f} on average")
            if signals.number is not None:
                save()
                raise signals.reason(f"stopped after episode {done} and saved")
            if time.monotonic() - saved > plan.recipe.save_every:
                save()
                saved = time.monotonic()
    save()
    metrics = measured(plan, agent, read_events(log.path))
    metrics |= {"seconds": round(seconds(), 2), "peak_memory_mb": round(peak_memory_mb(torch.device("cpu")), 1)}
    write_json(folder / "metrics.json", metrics)
    log.write("end", step=done)
    beat.end("finished")


def measured(plan: AgentPlan, agent: Agent, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Metrics of a finished run, and beside them those of acting at random."""
    world = plan.dataset
    steps = [event for event in events if event["event"] == "step"]
    last = steps[-max(1, round(LAST * len(steps))) :]
    uniform = torch.full_like(world.reward, 1 / world.num_actions)
    best = world.optimal()
    out: dict[str, Any] = {
        "regret": sum(e["regret"] for e in steps) / len(steps),
        "final_regret": sum(e["regret"] for e in last) / len(last),
        "collected": sum(e["collected"] for e in steps) / len(steps),
        "best_return": best,
    }
    model, counts = agent.model(), getattr(agent, "counts", None)
    if model is not None and counts is not None:
        weight = counts.sum(3) / counts.sum()
        out["model_error"] = float(((model - world.transition).abs().sum(3) / 2 * weight).sum())
    chance = best - world.value(uniform)
    return out | {"episodes": len(steps), "untrained": {"regret": chance, "final_regret": chance}}
