"""The time-ordered form: an event an op, for jobs in which something reads the state of the whole at some time."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np

from clustersim.engine.budget import run_within
from clustersim.engine.clock import Actor, Hold, Timeline
from clustersim.engine.cohort import Timing, cohorts_of
from clustersim.engine.crew import Crew, crews_of
from clustersim.engine.deadlock import deadlock_error
from clustersim.engine.dynamic import DynamicGpu, DynamicWork, Inbox, renumbered, renumbered_calls, reordered
from clustersim.engine.gpu import Barrier, Gpu, asynchronous_gpu, asynchronous_plan, blocking_gpu
from clustersim.engine.link import Mailbox
from clustersim.engine.network import Network
from clustersim.engine.noted import TIME_ORDERED, Noted, noted_by_processes
from clustersim.engine.plain_gpu import PlainReplica
from clustersim.engine.plain_rows import PlainRows
from clustersim.engine.record_programs import num_messages
from clustersim.engine.route import Route
from clustersim.engine.run_ahead import what_needs_time_order
from clustersim.limits import Limits
from clustersim.ops import Job, Pipeline, Place, Policy


class TimeOrdered:
    """One run in this form: processes are set up, run until every rank is done, and leave what they noted."""

    def __init__(self, job: Job, network: Network) -> None:
        self._job, self._network = job, network
        self._env: Timeline = network.env
        self._mailboxes = [Mailbox(num_messages(pipeline) + len(pipeline.calls)) for pipeline in job.pipelines]
        self._ports = self._network.ports(self._mailboxes)
        self._gpus: list[Gpu] = []
        self._dynamic: list[DynamicGpu] = []
        self._crews = crews_of(job.groups)
        self._plain_rows = _plain_rows(job, network)
        self._plain: list[PlainReplica] = []
        barrier = Barrier(sum(len(ranks) for ranks in job.ranks))
        first_transfer = 0
        for replica, pipeline in enumerate(job.pipelines):
            self._start_replica(replica, barrier, first_transfer)
            first_transfer += num_messages(pipeline)

    def _start_replica(self, replica: int, barrier: Barrier, first_transfer: int) -> None:
        env, mailbox, pipeline = self._env, self._mailboxes[replica], self._job.pipelines[replica]
        routes = self._network.routes(replica, mailbox, first_transfer)
        if self._plain_rows:
            self._plain.append(PlainReplica(env, self._plain_rows[replica], routes, mailbox))
        for pp_rank, program in enumerate(pipeline.programs):
            place = Place(replica, pp_rank)
            ports = self._ports.get(place, {})
            gpu = Gpu(pp_rank, self._job.ranks[replica], program, Hold(env), mailbox, barrier, ports)
            self._gpus.append(gpu)
            if self._plain_rows:
                generator = self._plain[-1].gpu(gpu)
            elif self._job.policy is not None:
                generator = self._dynamic_gpu(gpu, place, pipeline, routes, self._job.policy)
            elif self._job.blocking:
                generator = blocking_gpu(env, gpu, pipeline.messages, pipeline.calls, routes)
            else:
                plan = asynchronous_plan(gpu, pipeline.messages, pipeline.calls, routes)
                generator = asynchronous_gpu(env, gpu, plan)
            gpu.actor = Actor(env, generator, gpu.hold)

    def _dynamic_gpu(
        self, gpu: Gpu, place: Place, pipeline: Pipeline, routes: dict[tuple[int, int], Route], policy: Policy
    ) -> Generator[Any, Any, None]:
        work = DynamicWork(pipeline.schedule, gpu.program, gpu.pp_rank)
        dynamic = DynamicGpu(self._env, gpu, work, policy, self._crews.get(place) or Crew())
        self._dynamic.append(dynamic)
        for message in dynamic.work.op_of_message:
            gpu.mailbox.waiter[message] = Inbox(self._env, dynamic, message)
        return dynamic.run(pipeline.messages, pipeline.calls, routes)

    def run_to_end(self, limits: Limits) -> Noted:
        """Run until every rank is done and return what was noted.

        Raises
        ------
        DeadlockError
            Ranks wait for one another for ever; the message names the cycle.
        LimitError
            A budget was used up before the end.
        """
        num_events = run_within(limits, self._env)
        if self._plain and all(replica.is_done() for replica in self._plain):
            return self._noted_in_plain(num_events)
        for replica in self._plain:
            replica.tell_where_stuck()
        if not all(gpu.is_done for gpu in self._gpus):
            raise deadlock_error(self._job, self._gpus)
        job = self._job_as_run() if self._dynamic else self._job
        return noted_by_processes(job, self._network, self._gpus, self._mailboxes, num_events)

    def _noted_in_plain(self, num_events: int) -> Noted:
        times_ps = [replica.times_ps() for replica in self._plain]
        starts, started, arrived = map(np.concatenate, zip(*times_ps, strict=True))
        queued = self._network.queued_ps()
        return Noted(self._job, starts, None, started, arrived, queued, num_events, TIME_ORDERED)

    def _job_as_run(self) -> Job:
        """Return the job with every program in the order in which its policy came to run it."""
        executed = iter([dynamic.executed for dynamic in self._dynamic])
        pipelines = []
        for pipeline in self._job.pipelines:
            rows = [next(executed) for _ in pipeline.programs]
            programs = tuple(map(reordered, pipeline.programs, rows))
            messages, calls = renumbered(pipeline.messages, rows), renumbered_calls(pipeline.calls, rows)
            pipelines.append(Pipeline(pipeline.schedule, programs, messages, calls))
        for gpu, program in zip(self._gpus, (p for pipeline in pipelines for p in pipeline.programs), strict=True):
            gpu.program = program
        return replace(self._job, pipelines=tuple(pipelines))


def _plain_rows(job: Job, network: Network) -> dict[int, PlainRows]:
    """Return the rows of each replica of a job that exchanges nothing but messages over private links; else nothing."""
    if what_needs_time_order(job, network):
        return {}
    return {
        replica: PlainRows(Timing(cohort.of_one(member), network))
        for cohort in cohorts_of(job, network)
        for member, replica in enumerate(cohort.replicas)
    }
