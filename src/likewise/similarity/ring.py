"""How candidates travel around a ring of processes.

Each process compares its anchors with the block of candidates that it holds, while that block is already on its way to
the next process. What a block collects on its way (gradients of its rows, sums over its columns) travels one step
behind it and comes home after the full circle. A process holds two blocks at a time, however many processes there are.

Where the anchors are the candidates and every rule judges (i, j) as (j, i), half the circle is enough: who visits a
block of rows does so for both roles, and what it finds for the block's rows as anchors goes home with the block. Each
pair of processes is compared once. With an even number of processes those that sit opposite each other meet from both
sides and share the work.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from likewise.core.comm import Collective, Distributed
from likewise.similarity.rules import Rule, Term

Visit = Callable[[list[Tensor], int], list[Tensor]]
Merge = Callable[[Tensor, Tensor], Tensor]


def possible(comm: Collective) -> bool:
    """Whether ``comm`` is the default process group, which the ring talks over."""
    return comm.world > 1 and isinstance(comm, Distributed)


class Ring:
    """Who sits next to whom, and how many candidates each process has.

    Args:
        comm: the processes.
        num_candidates: of this process.
        device: where their tensors are.
        half: whether half the circle would do here; it is taken if every process says so.
    """

    def __init__(self, comm: Collective, num_candidates: int, device: torch.device, *, half: bool = False) -> None:
        self.rank, self.world = comm.rank, comm.world
        facts = comm.gather(torch.tensor([[num_candidates, half]], device=device)).tolist()
        self.sizes = [int(size) for size, _ in facts]
        self.half = all(flag for _, flag in facts)
        self.hops = self.world // 2 + 1 if self.half else self.world
        self.next, self.previous = (self.rank + 1) % self.world, (self.rank - 1) % self.world

    def share(self, source: int) -> tuple[slice, slice]:
        """Which of this process's anchors, and which candidates of that process, are this process's to compare."""
        opposite = self.half and 2 * ((source - self.rank) % self.world) == self.world
        everything = slice(None)
        if not opposite:
            return everything, everything
        # the lower rank's rows are cut in two: it takes the first part itself
        middle = self.sizes[min(self.rank, source)] // 2
        return (slice(middle), everything) if self.rank < source else (everything, slice(middle, None))

    def circulate(self, block: Sequence[Tensor], visit: Visit, merge: Merge) -> list[Tensor]:
        """Show every process's block to this one, and bring home what all of them made of this one's.

        On half the circle a block is shown to half of the processes, and the others' are shown to this one.

        Args:
            block: this process's tensors, one row per candidate each; other processes' have other numbers of rows.
            visit: ``(block, rank it belongs to) -> tensors with a row per candidate of the block``.
            merge: joins what two processes made of one block.
        """
        current = [t.detach().contiguous() for t in block]
        made: list[Tensor] = []
        sent: list[tuple[list[Any], list[Tensor]]] = []
        for hop in range(self.hops):
            source = (self.rank - hop) % self.world
            last = hop == self.hops - 1
            late = [self._like(m, source) for m in made] if hop else []
            ahead = [] if last else [self._like(t, source - 1) for t in current]
            # every process issues its messages in this order, so that back ends without tags pair them up:
            # a block, what was made of it, the next block
            works = _start(
                [dist.P2POp(dist.isend, t, self.next) for t in ([] if last else current)]
                + [dist.P2POp(dist.irecv, t, self.previous) for t in (*late, *ahead)]
            )
            made = visit(current, source)
            _wait(works)
            if hop:
                made = [merge(earlier, new) for earlier, new in zip(late, made)]
            made = [m.contiguous() for m in made]
            if last:
                break
            sent.append((_start([dist.P2POp(dist.isend, t, self.next) for t in made]), made))
            _wait(sent.pop(0)[0] if len(sent) > 1 else [])
            current = ahead
        home = [self._like(m, self.rank) for m in made]
        _wait(
            _start(
                [dist.P2POp(dist.isend, t, source) for t in made]
                + [dist.P2POp(dist.irecv, t, (self.rank + self.hops - 1) % self.world) for t in home]
            )
        )
        for pending, _ in sent:
            _wait(pending)
        return home

    def _like(self, tensor: Tensor, rank: int) -> Tensor:
        return tensor.new_empty((self.sizes[rank % self.world], *tensor.shape[1:]))


class Luggage:
    """What rules must know of the candidates, which travels with them."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = {id(rule): rule for rule in rules}
        self.payloads = {key: rule.payload() for key, rule in self.rules.items()}
        self.tensors = [t for payload in self.payloads.values() for t in payload]

    def rules_at(self, arrived: Sequence[Tensor], own: bool) -> dict[int, Rule | None]:
        """Each rule, by its identity, for a block whose tensors arrived."""
        left = list(arrived)
        return {
            key: rule.block(tuple(left.pop(0) for _ in self.payloads[key]), own) for key, rule in self.rules.items()
        }

    def terms_at(self, terms: Sequence[Term], arrived: Sequence[Tensor], own: bool) -> tuple[Term, ...]:
        """The terms for a block; terms that share their rules still do."""
        rules = self.rules_at(arrived, own)
        made: dict[tuple[int, ...], Term] = {}
        out = []
        for term in terms:
            key = tuple(id(rule) for rule in term.rules())
            if key not in made:
                made[key] = term.of([rules[k] for k in key])
            out.append(made[key])
        return tuple(out)


def _start(operations: list[Any]) -> list[Any]:
    return dist.batch_isend_irecv(operations) if operations else []


def _wait(works: list[Any]) -> None:
    for work in works:
        work.wait()
