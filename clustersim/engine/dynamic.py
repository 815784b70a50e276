"""Online scheduling: a GPU that asks a policy, whenever it falls idle, which of the ops that are ready to start.

The rows of a program say what there is to do in a step; the policy says in which order. A GPU decides after everything
else that happens at that moment, so that it sees every message that has arrived by then.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from simpy.events import NORMAL, Event

from clustersim.engine.clock import Timeline
from clustersim.engine.crew import Crew
from clustersim.engine.gpu import Gpu
from clustersim.engine.route import Route
from clustersim.errors import ScheduleError
from clustersim.ops import Action, Calls, GpuView, Kind, Messages, Policy, Program, Schedule

_DECISION_PRIORITY = 2**100  # after every end of an op and every arrival at the same time


class DynamicWork:
    """What a rank has left to do: which rows each op consists of, what each still waits for, and which are ready."""

    def __init__(self, schedule: Schedule, program: Program, pp_rank: int) -> None:
        self._previous, self._following = schedule.neighbours()
        self._rank_by_stage, self._pp_rank = schedule.rank_by_stage, pp_rank
        self.rows_of: dict[tuple[int, Action], list[int]] = {}  # by (step, op); a recomputation stands before its op
        self.closing_rows: dict[int, list[int]] = {}  # barrier and optimizer, by step
        self.op_of_message: dict[int, tuple[int, Action]] = {}
        self._num_missing: dict[tuple[int, Action], int] = {}
        for row, (kind, stage, microbatch) in enumerate(
            zip(program.kinds, program.stages, program.microbatches, strict=True)
        ):
            self._add_row(row, kind, stage, microbatch, program)
        self._count_local_inputs()
        self.ready: dict[int, set[Action]] = {step: set() for step in self.closing_rows}
        for (step, action), missing in self._num_missing.items():
            if not missing:
                self.ready[step].add(action)

    def _add_row(self, row: int, kind: Kind, stage: int, microbatch: int, program: Program) -> None:
        step = program.steps[row]
        self.closing_rows.setdefault(step, [])
        if stage < 0:
            self.closing_rows[step].append(row)
            return
        if kind is Kind.COLLECTIVE:  # what an op exchanges within a group goes with it
            self.rows_of[next(reversed(self.rows_of))].append(row)
            return
        if kind is Kind.RECOMPUTE:  # so does a recomputation, with the backward that follows it
            kind = next(after for after in program.kinds[row:] if after in (Kind.B, Kind.I))
        key = (step, Action(kind, stage, microbatch))
        self.rows_of.setdefault(key, []).append(row)
        self._num_missing.setdefault(key, 0)
        for message in program.waits_for[row]:
            self.op_of_message[message] = key
            self._num_missing[key] += 1

    def _count_local_inputs(self) -> None:
        self._dependents: dict[tuple[int, Action], list[tuple[int, Action]]] = {}
        for step, action in self.rows_of:
            for source in self._local_inputs(step, action):
                self._dependents.setdefault((step, source), []).append((step, action))
                self._num_missing[step, action] += 1

    def _local_inputs(self, step: int, action: Action) -> list[Action]:
        """Return the ops of this rank that must end before `action` may start."""
        kind, stage, microbatch = action
        if kind is Kind.W:
            return [Action(Kind.I, stage, microbatch)]
        inputs = [] if kind is Kind.F else [Action(Kind.F, stage, microbatch)]
        upstream = (self._previous if kind is Kind.F else self._following)[stage]
        if upstream >= 0 and self._rank_by_stage[upstream] == self._pp_rank:
            inputs.append(Action(kind, upstream, microbatch))
        return [source for source in inputs if (step, source) in self.rows_of]

    def input_is_here(self, step: int, action: Action) -> None:
        """Take note that one input of an op is here."""
        self._num_missing[step, action] -= 1
        if not self._num_missing[step, action]:
            self.ready[step].add(action)

    def ended(self, step: int, action: Action) -> None:
        """Take note that an op has ended."""
        for dependent_step, dependent in self._dependents.get((step, action), ()):
            self.input_is_here(dependent_step, dependent)


class DynamicGpu:
    """One GPU under a policy: its work, what it holds, and the rows in the order in which it came to run them."""

    def __init__(self, env: Timeline, gpu: Gpu, work: DynamicWork, policy: Policy, crew: Crew) -> None:
        self.env, self.gpu, self.work, self.policy, self.crew = env, gpu, work, policy, crew
        self.executed: list[int] = []
        self.is_idle = False
        self.num_chosen = 0
        self.is_first = crew.join(self.decide_if_idle)
        self.activation_bytes = self.live_microbatches = 0

    def arrive(self, message: int) -> None:
        """Take note of a message, and decide anew if nothing is running."""
        self.work.input_is_here(*self.work.op_of_message[message])
        self.decide_if_idle()

    def decide_if_idle(self) -> None:
        """Decide anew if nothing is running."""
        if self.is_idle:
            self.is_idle = False
            self.wake_to_decide()

    def wake_to_decide(self) -> None:
        """Set the wake-up for a decision now, after everything else that happens now."""
        self.env.wake(self.gpu.hold, self.env.now, _DECISION_PRIORITY + self.gpu.rank)

    def choose(self, step: int) -> Action | None:
        """Return what to start: what the policy wants, or what the first of the crew has chosen; None to wait."""
        if self.is_first:
            action = self._ask_policy(step)
            if action is not None:
                self.crew.choose(action)
            return action
        action = self.crew.choice(self.num_chosen)
        if action not in self.work.ready[step]:
            return None
        self.num_chosen += 1
        return action

    def _ask_policy(self, step: int) -> Action | None:
        ready = tuple(sorted(self.work.ready[step], key=lambda action: (action.kind, action.microbatch, action.stage)))
        if not ready:
            return None
        view = GpuView(self.env.now, self.gpu.pp_rank, ready, self.activation_bytes, self.live_microbatches)
        chosen = self.policy(view)
        if chosen is not None and chosen not in self.work.ready[step]:
            allowed = ", ".join(map(str, ready))
            raise ScheduleError(f"policy: rank {self.gpu.rank}: it chose {chosen}; ready are {allowed}")
        return chosen

    def run(self, messages: Messages, calls: Calls, routes: dict[tuple[int, int], Route]) -> Generator[Any, Any, None]:
        """Work through every step, op after op as the policy says, then through its closing rows."""
        for step, closing_rows in self.work.closing_rows.items():
            num_left = sum(1 for op_step, _ in self.work.rows_of if op_step == step)
            self.wake_to_decide()
            yield self.gpu.hold
            while num_left:
                action = self.choose(step)
                if action is None:
                    self.is_idle = True
                    yield self.gpu.hold
                    continue
                self.work.ready[step].remove(action)
                for row in self.work.rows_of[step, action]:
                    yield from self._run_row(row, messages, calls, routes)
                self.work.ended(step, action)
                num_left -= 1
                self.wake_to_decide()
                yield self.gpu.hold
            for row in closing_rows:
                yield from self._run_row(row, messages, calls, routes)
        self.gpu.end()
        yield self.gpu.hold

    def _run_row(
        self, row: int, messages: Messages, calls: Calls, routes: dict[tuple[int, int], Route]
    ) -> Generator[Any, Any, None]:
        env, gpu, program = self.env, self.gpu, self.gpu.program
        kind = program.kinds[row]
        self.executed.append(row)
        if kind is Kind.BARRIER:
            gpu.barrier.arrive(gpu.hold, env.now)
            yield gpu.hold
            gpu.starts.append(env.now)
        elif kind is Kind.COLLECTIVE:
            yield from self._wait_for_calls(program.awaits[row], len(messages))
            gpu.starts.append(env.now)
        else:
            gpu.starts.append(env.now)
            self.activation_bytes += program.start_bytes[row]
            self.live_microbatches += kind is Kind.F
            env.wake(gpu.hold, env.now + program.durations_ps[row])
            yield gpu.hold
            self.activation_bytes += program.end_bytes[row]
            self.live_microbatches -= kind in (Kind.B, Kind.W)
        for number in program.sends[row]:
            route = routes[gpu.pp_rank, messages.destinations[number]]
            route.carry(route.parcel(number, route.hold_ps(messages.sizes_bytes[number]), gpu.rank))
        for call in program.joins[row]:
            gpu.ports[calls.axes[call]].join(call)

    def _wait_for_calls(self, awaits: tuple[int, ...], num_messages: int) -> Generator[Any, Any, None]:
        """Wait until collectives are done, some of which may be known to end later than now."""
        hold = self.gpu.hold
        hold.missing, hold.ready, hold.duration = 0, self.env.now, 0
        for call in awaits:
            self.gpu.wait_for(num_messages + call)
        if not hold.missing:
            self.env.wake(hold, hold.ready)
        yield hold


class Inbox:
    """Waits for one message on behalf of a GPU under a policy, in the place of a hold."""

    def __init__(self, env: Timeline, receiver: DynamicGpu, message: int) -> None:
        self.env, self.receiver, self.message = env, receiver, message

    def note_arrival(self, time_ps: int) -> None:
        """Tell the GPU of the message when it is there."""
        event = Event(self.env)
        event._ok, event._value = True, None
        event.callbacks = [lambda _event: self.receiver.arrive(self.message)]
        self.env.wake(event, time_ps, NORMAL)


def reordered(program: Program, rows: list[int]) -> Program:
    """Return `program` with its rows in the order in which they ran."""

    def column(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(values[row] for row in rows)

    return Program(
        column(program.kinds),
        column(program.stages),
        column(program.microbatches),
        column(program.steps),
        column(program.durations_ps),
        column(program.waits_for),
        column(program.sends),
        column(program.start_bytes),
        column(program.end_bytes),
        {},
        column(program.joins),
        column(program.awaits),
    )


def renumbered_calls(calls: Calls, executed: list[list[int]]) -> Calls:
    """Return `calls` with producers and consumers as rows of the reordered programs; ``executed[pp_rank]``."""
    places = [{row: place for place, row in enumerate(rows)} for rows in executed]
    return replace(
        calls,
        producers=tuple(places[rank][row] for rank, row in zip(calls.pp_ranks, calls.producers, strict=True)),
        consumers=tuple(places[rank][row] for rank, row in zip(calls.pp_ranks, calls.consumers, strict=True)),
    )


def renumbered(messages: Messages, executed: list[list[int]]) -> Messages:
    """Return `messages` with producers and consumers as rows of the reordered programs; ``executed[pp_rank]``."""
    places = [{row: place for place, row in enumerate(rows)} for rows in executed]
    return Messages(
        messages.kinds,
        messages.microbatches,
        messages.steps,
        messages.sources,
        messages.destinations,
        messages.sizes_bytes,
        tuple(places[rank][row] for rank, row in zip(messages.sources, messages.producers, strict=True)),
        tuple(places[rank][row] for rank, row in zip(messages.destinations, messages.consumers, strict=True)),
    )
