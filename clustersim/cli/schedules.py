"""The verb that prints the order of a schedule."""

from __future__ import annotations

import click

from clustersim.cli.options import common_options, json_option, output_option, plugin_option
from clustersim.cli.output import emit_json, emit_text
from clustersim.errors import ScheduleError


@click.command()
@click.argument("name")
@click.option("--pp", type=click.IntRange(1, 4096), required=True, help="Pipeline ranks.")
@click.option("--microbatches", type=click.IntRange(1, 1_000_000), required=True, help="Micro-batches.")
@click.option("--vpp", type=click.IntRange(1, 1024), default=1, show_default=True, help="Chunks per rank.")
@click.option("--group-size", type=click.IntRange(1), help="Micro-batches that a chunk takes before the next.")
@click.option("--rounds", type=click.Choice(["torch"]), help="PyTorch's rounds in place of groups.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["grid", "picture", "csv"]),
    default="grid",
    show_default=True,
    help="picture has a letter a unit of time (B two); csv is PyTorch's.",
)
@json_option
@plugin_option
@output_option
@common_options
def schedule(
    name: str,
    pp: int,
    microbatches: int,
    vpp: int,
    group_size: int | None,
    rounds: str | None,
    form: str,
    as_json: bool,
    bindings: tuple[str, ...],
    output: str | None,
) -> None:
    """Print the order of a schedule: as a grid, as the picture that papers draw, or as PyTorch's compute-only CSV."""
    from clustersim.cli.plugins import load_plugins
    from clustersim.ops import Shape
    from clustersim.schedules.brought import plugin_schedule
    from clustersim.schedules.check import check_schedule
    from clustersim.schedules.render import RENDERERS
    from clustersim.schedules.table import build_schedule

    _check_group(name, group_size, rounds)
    plugins = load_plugins(bindings)
    shape = Shape(pp, microbatches, vpp, group_size, torch_rounds=rounds == "torch")
    built = plugin_schedule(name, plugins[name], shape) if name in plugins else build_schedule(name, shape)
    check_schedule(built)
    if as_json:
        orders = [[str(slot) for slot in order] for order in built.orders]
        document = {"schema": "clustersim/schedule/1", "name": built.name, "orders": orders}
        emit_json(document | {"rank_by_stage": list(built.rank_by_stage)}, output)
    else:
        emit_text(RENDERERS[form](built), output)


def _check_group(name: str, group_size: int | None, rounds: str | None) -> None:
    from clustersim.scenario.schedule_choice import SCHEDULE_RULES

    if group_size is not None and rounds is not None:
        raise ScheduleError("--rounds takes the place of --group-size: give one of the two")
    given = "--group-size" if group_size is not None else "--rounds" if rounds is not None else None
    if given and name in SCHEDULE_RULES and not SCHEDULE_RULES[name].takes_groups:
        grouped = ", ".join(known for known, rules in SCHEDULE_RULES.items() if rules.takes_groups)
        raise ScheduleError(f"{given} means nothing to {name}; it is for {grouped}")
