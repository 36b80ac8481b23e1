"""The one loop. It knows steps, precision, devices and saving; it knows no method."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likewise import similarity
from likewise.core.batch import Batch, View, move
from likewise.core.draws import Draws
from likewise.core.learner import Context, Learner, Phase, Step
from likewise.core.recipe import Stage
from likewise.data.loader import loader
from likewise.data.sampler import Sampler, batches
from likewise.train import checkpoint
from likewise.train.caching import cached_gradients
from likewise.train.display import Display, Silent
from likewise.train.events import Diverged, EventLog
from likewise.train.plan import Plan, length
from likewise.train.runtime import LocalRuntime
from likewise.train.signals import Signals

LOG_EVERY = 10
"""Steps between ``step`` events."""


class Trainer:
    """Trains the learner of a plan, writing into a run folder.

    Args:
        plan: what to train on what.
        folder: the run folder; it exists.
        runtime: where to compute.
        display: what a person sees.
        beat: told the step, for the run's heartbeat.
        resume: continue from the newest whole checkpoint of the folder, if there is one.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        runtime: LocalRuntime,
        *,
        display: Display | None = None,
        beat: Callable[..., None] = lambda **_: None,
        resume: bool = False,
    ) -> None:
        self.plan, self.folder, self.runtime = plan, folder, runtime
        self.comm, self.device = runtime.comm, runtime.device
        self.first = self.comm.rank == 0
        self.display, self.beat = display or Silent(), beat
        self.log = EventLog(folder / "events.jsonl")
        self.learner = plan.learner().to(self.device)
        self.dataset, self.measure = plan.dataset, plan.measure()
        self.train_rows = self.dataset.train_rows
        self.stages = plan.recipe.stages or (Stage("main"),)
        self.stage = self.step = self.taken = 0  # stage number, step within it, steps before it
        self.saved_at = self.began = time.monotonic()
        self.before = 0.0  # seconds of training in earlier sittings
        self.signals = Signals()
        self._bad = torch.zeros((), dtype=torch.bool, device=self.device)
        self._restored = checkpoint.load(folder / "checkpoints") if resume else None

    def fit(self) -> Learner:
        """Train to the end.

        Raises:
            Stopped: a signal asked to stop; the run is saved and ``resume`` continues it.
            Diverged: the loss is not finite; the checkpoints before it are intact.
        """
        if self._restored:
            self.stage = self._restored[1]["stage"]
            self.log.cut(self._restored[1]["total"])
        self.beat(step=0, steps=self._total(), epoch=0.0)
        try:
            with self.signals:
                for number in range(self.stage, len(self.stages)):
                    self.stage = number
                    self._run_stage(self.stages[number])
        finally:
            self.display.close()
        self.comm.barrier()
        return self.learner

    @property
    def seconds(self) -> float:
        """Seconds of training, over all sittings of a run that was resumed."""
        return self.before + time.monotonic() - self.began

    def _total(self) -> int:
        return sum(self._length(s)["steps"] for s in self.stages)

    def _length(self, stage: Stage) -> dict[str, int]:
        return length(self.plan.recipe.for_stage(stage), len(self.train_rows))

    def _run_stage(self, stage: Stage) -> None:
        self.recipe = recipe = self.plan.recipe.for_stage(stage)
        facts = {**self.plan.facts, **self._length(stage)}
        self.steps, self.per_epoch = facts["steps"], facts["steps_per_epoch"]
        self.taken = sum(self._length(s)["steps"] for s in self.stages[: self.stage])
        self.views: Any = self.plan.views(recipe, facts).to(self.device)
        self.schedule: Callable[[int, int, str], float] = recipe.schedule.build(**facts)
        self.sampler: Sampler | None = recipe.sampler.build(**facts) if recipe.sampler else None
        self.step = 0
        if len(self.stages) > 1:
            self.learner.begin_stage(stage.name, self._context())
        self.phases = list(self.learner.phases())
        groups = self.learner.groups()
        make = recipe.optimizer.build(**facts)
        self.optimizers = {p.name: make({g: groups[g] for g in p.groups}) for p in self.phases}
        self.held = {p.name: [w for g in p.groups for w in groups[g]] for p in self.phases}
        if self._restored:
            self._restore(self._restored)
        elif self.first:
            self.log.write("start" if self.stage == 0 else "stage", step=self.taken, stage=stage.name)
        attach = getattr(self.sampler, "attach", None)
        if attach is not None:
            attach(self.learner)  # after restoring: it may go by what the learner found
        self.display.start(self.steps / self.per_epoch, self.steps, self.step)
        if self.step == 0 and recipe.probe_every:
            self._probe()
        with similarity.using(recipe.similarity):
            self._loop()

    def _loop(self) -> None:
        self.learner.train()
        rows = loader(self.dataset, self._rows(), ahead=2)
        since, waited, tick = time.monotonic(), rows.waited, self.step
        with closing(iter(rows)) as ready:
            for index, columns in ready:
                epoch = self.step // self.per_epoch
                if self.step % self.per_epoch == 0:
                    self.learner.on_epoch(self._context())
                    self.learner.train()
                self._seed(0)
                out = self._train_step(index, columns, epoch)
                self.step += 1
                due = self.step % LOG_EVERY == 0 or self.step == self.steps or self.step == 1
                if due or self._time_to_save() or self.device.type == "cpu":
                    self._check_finite()
                if due and self.first:
                    spent, now = time.monotonic() - since, time.monotonic()
                    rate = (self.step - tick) * self.recipe.batch / max(spent, 1e-9)
                    self._log_step(out, rate, min(1.0, (rows.waited - waited) / max(spent, 1e-9)))
                    since, waited, tick = now, rows.waited, self.step
                if self._probe_due():
                    self._probe()
                    since, waited, tick = time.monotonic(), rows.waited, self.step
                if self._stop_asked():
                    self.save()
                    raise self.signals.reason(f"stopped after step {self.taken + self.step} and saved")
                if self._time_to_save() or self.step == self.steps:
                    self.save()

    def _train_step(self, index: Tensor, columns: dict[str, View], epoch: int) -> Step:
        batch = self._batch(index, columns, epoch)
        # a turn ends its round of steps, so that steps that are logged see those of every 2, 5 and 10
        turns = {p.name: self._take_turn(p, batch) for p in self.phases if (self.step + 1) % p.every == 0}
        out = merged(turns)
        done = self._context(out.carry)
        done.step += 1
        with torch.no_grad():
            self.learner.after_update(done)
        return out

    def _batch(self, index: Tensor, columns: dict[str, View], epoch: int) -> Batch:
        ids = torch.searchsorted(self.train_rows, index).to(self.device)
        columns = {name: move(column, self.device) for name, column in columns.items()}
        with torch.no_grad():
            views = self.views(columns, Draws(self.plan.seed, epoch, ids))
        labels = self.dataset.labels
        if labels is not None:
            labels = labels[index].to(self.device)
        return Batch(views, ids, labels)

    def _take_turn(self, phase: Phase, batch: Batch) -> Step:
        weights, optimizer = self.held[phase.name], self.optimizers[phase.name]
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.schedule(self.step, self.steps, group["name"])
        optimizer.zero_grad(set_to_none=True)
        scaler = self.runtime.scaler

        def encode(rows: Batch) -> dict[str, Tensor]:
            with self.runtime.autocast():
                z = phase.encode(rows)
            return {k: v.float() if v.dtype in (torch.float16, torch.bfloat16) else v for k, v in z.items()}

        def objective(z: dict[str, Tensor]) -> Step:
            return phase.objective(z, batch, self.comm)

        def backward(loss: Tensor) -> None:
            self._bad |= ~torch.isfinite(loss.detach())
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

        with _only(self.learner, weights):
            if 0 < self.recipe.micro < len(batch):
                out = cached_gradients(
                    self.learner, batch, self.recipe.micro,
                    encode=encode, objective=objective, backward=backward, reseed=self._seed,
                )  # fmt: skip
            else:
                out = objective(encode(batch))
                backward(out.loss)
        self.comm.average_gradients(weights)
        if self.recipe.clip is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(weights, self.recipe.clip)
        scaler.step(optimizer)
        scaler.update()
        return Step(out.loss.detach(), out.logs, out.carry)

    def _rows(self) -> Iterator[Tensor]:
        return batches(
            self.dataset, self.recipe.batch, self.plan.seed,
            sampler=self.sampler, rank=self.comm.rank, world=self.comm.world, start=self.step, stop=self.steps,
        )  # fmt: skip

    def _context(self, carry: Mapping[str, Tensor] | None = None) -> Context:
        epochs = self.steps / self.per_epoch
        return Context(
            self.step, self.steps, self.step // self.per_epoch, epochs, self.comm, carry or {}, self._extract
        )

    def _extract(self, function: Callable[[View], Tensor], size: int = 512) -> Tensor:
        parts = []
        with torch.no_grad():
            for rows in self.train_rows.split(len(self.train_rows) if self.dataset.whole else size):
                columns = {k: move(v, self.device) for k, v in self.dataset.take(rows).items()}
                plain: dict[str, View] = self.views.plain(columns)
                parts.append(function(next(iter(plain.values()))).float())
        return torch.cat(parts)

    def _seed(self, chunk: int) -> None:
        """The global generator becomes a function of (seed, stage, step, rank, chunk): nothing of it needs saving."""
        key = (self.plan.seed, self.stage, self.step, self.comm.rank, chunk)
        value = 0
        for part in key:
            value = (value * 1_000_003 + part + 1) % (2**63)
        torch.manual_seed(value)

    # --- probes, logs, saving -------------------------------------------------------------------------------------

    def _probe_due(self) -> bool:
        every = self.recipe.probe_every * self.per_epoch
        return bool(every) and (self.step == self.steps or self.step // every > (self.step - 1) // every)

    def _probe(self) -> None:
        if self.first:
            found = self.measure.probe(
                self.learner, self.views, self.dataset, rows=self.recipe.probe_rows, seed=self.plan.seed
            )
            self.learner.train()
            self.log.write("probe", step=self.taken + self.step, epoch=self.step / self.per_epoch, **found)
            self.display.probe(found)
        self.comm.barrier()

    def _log_step(self, out: Step, rate: float, wait: float) -> None:
        logs = {k: float(v) for k, v in out.logs.items()}
        lr = {p.name: self.optimizers[p.name].param_groups[0]["lr"] for p in self.phases}
        logs |= {"loss": float(out.loss), "lr": next(iter(lr.values())), "samples_per_s": rate, "wait_share": wait}
        epoch = self.step / self.per_epoch
        self.log.write("step", step=self.taken + self.step, epoch=epoch, **logs)
        self.beat(step=self.taken + self.step, epoch=epoch)
        self.display.step(self.step, epoch, logs)

    def _check_finite(self) -> None:
        if bool(self._bad):
            held = checkpoint.steps(self.folder / "checkpoints")
            kept = f"the checkpoint of step {held[-1]} is intact" if held else "no checkpoint was written yet"
            raise Diverged(
                f"{self.plan.card.slug}: the loss is not finite at step {self.taken + self.step}; {kept}. Try a "
                f"smaller learning rate (--set optimizer.lr=...), clip=1, a larger temperature, or precision=32"
            )

    def _time_to_save(self) -> bool:
        return self.first and time.monotonic() - self.saved_at > self.recipe.save_every

    def save(self) -> None:
        """Write a checkpoint now."""
        self._check_finite()
        if self.first:
            total = self.taken + self.step
            state = {
                "learner": self.learner.state_dict(),
                "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
                "scaler": self.runtime.scaler.state_dict(),
                "stage": self.stage, "step": self.step, "total": total,
                "seconds": self.seconds,
            }  # fmt: skip
            checkpoint.save(self.folder / "checkpoints", total, state)
            self.log.write("checkpoint", step=total)
        self.saved_at = time.monotonic()

    def _restore(self, restored: tuple[int, dict[str, Any]]) -> None:
        step, state = restored
        where = f"checkpoint of step {step} in {self.folder}"
        checkpoint.load_weights(self.learner, state["learner"], where)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.runtime.scaler.load_state_dict(state["scaler"])
        self.step, self.before, self._restored = state["step"], state["seconds"], None
        self.display.note(f"resumed  after step {step}")

    def _stop_asked(self) -> bool:
        flag = torch.tensor(float(self.signals.number is not None), device=self.device)
        return bool(self.comm.sum(flag) > 0)  # every rank stops at the same step


def merged(turns: Mapping[str, Step]) -> Step:
    """One step from those of several phases: the first one's loss, everybody's logs and carry.

    With several phases each loss is logged as ``loss/PHASE``, too.
    """
    logs: dict[str, Tensor | float] = {}
    carry: dict[str, Tensor] = {}
    for name, step in turns.items():
        logs |= {k: v.detach() if isinstance(v, Tensor) else v for k, v in step.logs.items()}
        logs |= {f"loss/{name}": step.loss} if len(turns) > 1 else {}
        carry |= step.carry
    return Step(next(iter(turns.values())).loss, logs, carry)


@contextmanager
def _only(learner: nn.Module, weights: Sequence[nn.Parameter]) -> Iterator[None]:
    """Hold every other parameter still, so that a phase neither computes nor leaves gradients elsewhere."""
    mine = {id(w) for w in weights}
    others = [p for p in learner.parameters() if p.requires_grad and id(p) not in mine]
    for p in others:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in others:
            p.requires_grad_(True)
