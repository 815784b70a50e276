"""A scenario as settings of torchtitan.

References
----------
torchtitan, ``torchtitan/config/``, ``ParallelismConfig``, ``TrainingConfig`` and ``ActivationCheckpointConfig``.
PyTorch, ``torch/distributed/pipelining/schedules.py``, ``get_schedule_class`` (names of schedules).
"""

from __future__ import annotations

from collections.abc import Iterator

from clustersim.scenario.batch import largest_num_microbatches
from clustersim.scenario.spec import Scenario

SCHEDULES = {
    "gpipe": "GPipe",
    "1f1b": "1F1B",
    "interleaved-1f1b": "Interleaved1F1B",
    "looped-bfs": "LoopedBFS",
    "interleaved-zb": "InterleavedZeroBubble",
    "zb-v": "ZBVZeroBubble",
    "dualpipev": "DualPipeV",
}
"""PyTorch's name of each schedule that it has."""


def torchtitan_settings(scenario: Scenario) -> str:
    """Return the sections of torchtitan's configuration that run a scenario, as TOML.

    Examples
    --------
    >>> from clustersim.scenario.load import load_scenario
    >>> print(torchtitan_settings(load_scenario("llama-3.1-8b-64gpus")).splitlines()[0])
    [parallelism]
    """
    lines = ["[parallelism]", *_parallelism(scenario), "", "[training]", *_training(scenario)]
    lines += ["", "[activation_checkpoint]", f'mode = "{scenario.training.recompute or "none"}"']
    return "".join(f"{line}\n" for line in lines)


def _parallelism(scenario: Scenario) -> Iterator[str]:
    p = scenario.parallelism
    is_sharded = p.zero_stage > 0
    yield f"data_parallel_replicate_degree = {1 if is_sharded else p.dp}"
    yield f"data_parallel_shard_degree = {p.dp if is_sharded else 1}"
    if is_sharded:
        policy = "always" if p.zero_stage == 3 else "never"
        yield f'fsdp_reshard_after_forward = "{policy}"'
    yield f"tensor_parallel_degree = {p.tp}"
    if p.tp > 1:
        yield f"enable_sequence_parallel = {str(p.sequence_parallel).lower()}"
    yield f"context_parallel_degree = {p.cp}"
    yield f"expert_parallel_degree = {p.ep}"
    yield f"pipeline_parallel_degree = {p.pp}"
    if p.pp > 1:
        yield from _pipeline(scenario)


def _pipeline(scenario: Scenario) -> Iterator[str]:
    p, batch, name = scenario.parallelism, scenario.batch, scenario.schedule.label
    num_microbatches = largest_num_microbatches(batch, p.dp)
    if name in SCHEDULES:
        yield f'pipeline_parallel_schedule = "{SCHEDULES[name]}"'
    else:
        order = f"clustersim schedule {name} --pp {p.pp} --microbatches {num_microbatches} --vpp {p.vpp} --format csv"
        yield f"# PyTorch has no schedule {name}; its order: {order}"
        yield 'pipeline_parallel_schedule_csv = "order.csv"'
    if scenario.model is not None:
        num_stages = scenario.schedule.rules.num_listed_stages(p.pp, p.vpp)
        yield f"pipeline_parallel_layers_per_stage = {-(-scenario.model.num_layers // num_stages)}"
    yield "pipeline_parallel_first_stage_less_layers = 0"
    yield "pipeline_parallel_last_stage_less_layers = 0"
    yield f"pipeline_parallel_microbatch_size = {batch.micro_batch_size}"
    yield f"# newer versions count them instead: num_pp_microbatches = {num_microbatches}"


def _training(scenario: Scenario) -> Iterator[str]:
    p, batch = scenario.parallelism, scenario.batch
    share = largest_num_microbatches(batch, p.dp) * batch.micro_batch_size
    yield f"global_batch_size = {batch.global_batch_size or share * p.dp}"
    yield f"local_batch_size = {share if p.pp > 1 else batch.micro_batch_size}"
    if scenario.model is not None:
        yield f"seq_len = {scenario.model.seq_length}"
