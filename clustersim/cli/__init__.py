"""The command line: the only place that prints or exits.

Each group of verbs has a file of its own, imported when one of them runs, so that ``--help`` imports click alone. A new
verb is a click command in such a file and one line in `VERBS`.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from clustersim.cli.options import Settings, common_options
from clustersim.errors import ClustersimError, nearest

UNUSABLE = 2
INTERNAL_ERROR = 5
INTERRUPTED = 130
# Imports and models make many lasting objects and hardly a cycle: Python's default of 700 costs a short verb a tenth.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000

VERBS: dict[str, tuple[str, str, str]] = {
    "run": ("clustersim.cli.run", "run", "Simulate a scenario and report where the time goes."),
    "compare": ("clustersim.cli.comparisons", "compare", "Run a scenario under several schedules."),
    "diff": ("clustersim.cli.comparisons", "diff", "Show what changed between two results, and why."),
    "sweep": ("clustersim.cli.sweeps", "sweep", "Run every combination of values of a scenario."),
    "merge": ("clustersim.cli.stores", "merge", "Put the stores of a sweep's shards into one."),
    "export": ("clustersim.cli.stores", "export", "Write the store of a sweep as a table."),
    "report": ("clustersim.cli.stores", "report", "Show the store of a sweep, in the terminal or as a page."),
    "scale": ("clustersim.cli.scale", "scale", "Run a scenario on more and more GPUs: scaling curves."),
    "size": ("clustersim.cli.size", "size", "Find the fewest GPUs, largest model or cheapest cluster."),
    "sensitivity": ("clustersim.cli.sensitivity", "sensitivity", "Tell how much answers move with assumptions."),
    "plan": ("clustersim.cli.plans", "plan", "Search all layouts of a job for the best."),
    "optimize": ("clustersim.cli.optimize", "optimize", "Search for the best order of a training step."),
    "layers": ("clustersim.cli.layers", "layers", "Print what the layers of a model ask of a GPU."),
    "validate-model": ("clustersim.cli.validation", "validate_model", "Compare step times with published ones."),
    "calibrate": ("clustersim.cli.calibration", "calibrate", "Fit a device's constants to your own measurements."),
    "validate": ("clustersim.cli.scenarios", "validate", "Check scenario files and report every mistake."),
    "show": ("clustersim.cli.scenarios", "show", "Show a scenario with all values resolved, and their origins."),
    "schedule": ("clustersim.cli.schedules", "schedule", "Print the order of a schedule."),
    "list": ("clustersim.cli.catalogue", "list_names", "List schedules, topologies, models, devices and the like."),
    "describe": ("clustersim.cli.topologies", "describe", "Describe a topology: its picture, parts and bandwidths."),
    "network": ("clustersim.cli.network", "network", "Run a list of flows on a topology: when each of them ends."),
    "collective": ("clustersim.cli.collective", "collective", "Time a collective on a topology, as nccl-tests do."),
    "import": ("clustersim.cli.imports", "import_", "Import a topology, a model or a job from other tools."),
    "schema": ("clustersim.cli.schemas", "schema", "Print the JSON Schema of a file format."),
}
"""verb -> (module, name of its click command there, one line of help)."""


class LazyGroup(click.Group):
    """Verbs that are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module, name, _ = VERBS[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        verb = args[0] if args else ""
        if verb not in VERBS and not verb.startswith("-"):
            hint = nearest(verb, list(VERBS)) or f"verbs: {', '.join(VERBS)}"
            raise click.UsageError(f"no such verb '{verb}'; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, help_line) for verb, (_, _, help_line) in VERBS.items()])


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"clustersim {version('clustersim')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version."
)
@common_options
def clustersim() -> None:
    """Simulate pipeline-parallel training on clusters that you do not own.

    Begin with `clustersim run gpipe-4x16`; `clustersim list scenarios` has more.
    """


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with the code that says how it went."""
    settings = Settings()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        code = clustersim.main(args, prog_name="clustersim", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except SystemExit:
        code = 0  # click's answer to a reader of our output that has gone
    except Exception as error:
        code = _report(error, settings)
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code if isinstance(code, int) else 0)


def _report(error: Exception, settings: Settings) -> int:
    """Return the exit code of an error, after telling the user about it."""
    if isinstance(error, BrokenPipeError):
        # the reader has gone; what is left in the buffer must not raise once more when Python exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, click.Abort):
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if settings.debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, OSError):
        click.echo(f"error: {error.filename or 'standard output'}: {error.strerror or error}", err=True)
        return UNUSABLE
    if isinstance(error, ClustersimError):
        click.echo(_with_prefix(str(error)), err=True)
        return error.exit_code
    what = f"{type(error).__name__}: {error}"
    click.echo(f"internal error: {what}\nThis is a defect of clustersim; --debug shows where it happened.", err=True)
    return INTERNAL_ERROR


def _with_prefix(message: str) -> str:
    return message if "error: " in message else f"error: {message}"
