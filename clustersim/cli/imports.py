"""The verb that reads what other tools write of a machine, a cluster, a model or a job."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clustersim.cli.options import common_options, output_option
from clustersim.cli.output import emit_text

if TYPE_CHECKING:
    from clustersim.scenario.importers import Imported
    from clustersim.topology.drawn_graph import DrawnGraph
    from clustersim.topology.importers import Asked

_Function = TypeVar("_Function", bound=Callable[..., Any])

_STANDARD_INPUT = "-"
_NVLINK_HELP = "Bandwidth of one NVLink, per direction, such as 25 GB/s (NVLink 3 and 4) or 50 GB/s (NVLink 5)."


def _bandwidth_option(name: str, text: str) -> Callable[[_Function], _Function]:
    return click.option(f"--{name}", name.replace("-", "_"), metavar="BANDWIDTH", help=text)


def _graph_options(function: _Function) -> _Function:
    """Return `function` with the options of every import that makes a graph."""
    options = (
        click.option("--latency", metavar="TIME", help="Latency of every link that has a bandwidth; absent: none."),
        click.option("--device", metavar="NAME", help="Device of every GPU, from the device catalogue."),
        click.option(
            "-o",
            "--output",
            type=click.Path(dir_okay=False, writable=True),
            help="NAME.yaml for a topology, with its graph in NAME.json beside it; NAME.json for the graph alone; "
            "absent: the graph on standard output.",
        ),
        common_options,
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.group(name="import")
@common_options
def import_() -> None:
    """Read what other tools print or write; bandwidths that a file does not tell are asked for, never guessed."""


@import_.command(name="nvidia-smi", short_help="Topology of one host from `nvidia-smi topo -m`.")
@click.argument("file")
@_bandwidth_option("link-bandwidth", _NVLINK_HELP)
@_bandwidth_option("pcie-bandwidth", "Bandwidth of PCIe between a device and a bridge, and between bridges.")
@_bandwidth_option("socket-bandwidth", "Bandwidth between two NUMA nodes (SYS).")
@click.option("--host", metavar="NAME", help="Name of the host; absent: host0.")
@_graph_options
def nvidia_smi(file: str, device: str | None, output: str | None, **answers: Any) -> None:
    """Import the output of `nvidia-smi topo -m` as the graph of one host ("-" reads standard input)."""
    from clustersim.topology.importers import import_nvidia_smi

    _import(import_nvidia_smi, "nvidia-smi topo -m", file, device, output, answers)


@import_.command(short_help="Topology from NCCL's dump.")
@click.argument("file")
@_bandwidth_option("link-bandwidth", _NVLINK_HELP)
@_bandwidth_option("pcie-bandwidth", "Bandwidth of PCIe where the dump does not tell it, as in virtual machines.")
@_bandwidth_option("socket-bandwidth", "Bandwidth between two CPUs of a host.")
@_graph_options
def nccl(file: str, device: str | None, output: str | None, **answers: Any) -> None:
    """Import a topology that NCCL dumped (NCCL_TOPO_DUMP_FILE) as the graph of its hosts."""
    from clustersim.topology.importers import import_nccl

    _import(import_nccl, "NCCL's topology dump", file, device, output, answers)


@import_.command(short_help="Topology from Slurm's topology.conf or .yaml.")
@click.argument("file")
@click.option("--gpus-per-node", type=click.IntRange(1, 1024), help="Number of GPUs in each host.")
@_bandwidth_option("scaleup-bandwidth", "Bandwidth between a GPU and the switch of its host or block, per direction.")
@_bandwidth_option("link-bandwidth", "Bandwidth between a host and its switch, or its neighbour.")
@_bandwidth_option("switch-bandwidth", "Bandwidth between two switches, all wires together.")
@click.option("--topology", metavar="NAME", help="One of several in a topology.yaml; absent: the cluster's default.")
@_graph_options
def slurm(file: str, device: str | None, output: str | None, **answers: Any) -> None:
    """Import Slurm's topology.conf or topology.yaml as the graph of a cluster."""
    from clustersim.topology.importers import import_slurm

    _import(import_slurm, "Slurm's topology", file, device, output, answers)


@import_.command(short_help="Model from Hugging Face's config.json.")
@click.argument("file")
@click.option("--seq-length", type=click.IntRange(1), help="Tokens of a sample; absent: the most that the model takes.")
@output_option
@common_options
def hf(file: str, output: str | None, seq_length: int | None) -> None:
    """Import a model from Hugging Face's config.json as the `model` of a scenario ("-" reads standard input)."""
    from clustersim.scenario.importers import import_hugging_face

    _write(import_hugging_face(file, _read(file), seq_length), "Hugging Face's", file, output)


@import_.command(short_help="Job from a Megatron launch script.")
@click.argument("file")
@click.option("--vocab-size", type=click.IntRange(1), help="Size of the vocabulary, if the tokenizer alone tells it.")
@output_option
@common_options
def megatron(file: str, output: str | None, vocab_size: int | None) -> None:
    """Import the flags in a Megatron launch script, which is read and never run, as sections of a scenario."""
    from clustersim.scenario.importers import import_megatron

    _write(import_megatron(file, _read(file), vocab_size), "Megatron's flags in", file, output)


def _write(imported: Imported, what: str, file: str, output: str | None) -> None:
    from clustersim.scenario.importers import scenario_text

    emit_text(scenario_text(imported, f"Imported from {what} {Path(file).name}."), output)


def _import(
    importer: Callable[[str, str, Asked], DrawnGraph],
    what: str,
    file: str,
    device: str | None,
    output: str | None,
    answers: dict[str, Any],
) -> None:
    from clustersim.topology.importers import Asked, node_link_text

    _check_device(device)
    asked = Asked({name.replace("_", "-"): answer for name, answer in answers.items()})
    graph = importer(file, _read(file), asked)
    comment = f"imported from {what} ({Path(file).name})"
    document = node_link_text(graph, comment, device)
    suffix = Path(output).suffix.lower() if output else ".json"
    if suffix == ".json" or output is None:
        emit_text(document, output)
    elif suffix in (".yaml", ".yml"):
        path = Path(output).with_suffix(".json")
        emit_text(document, str(path))
        emit_text(f"# {comment[:1].upper()}{comment[1:]}.\nfabric: graph\nfile: {path.name}\n", output)
    else:
        raise click.UsageError(f"-o {output}: a topology ends in .yaml, a graph in .json")


def _read(file: str) -> str:
    """Return the text of a file, or of standard input."""
    from clustersim.scenario.document import read_bytes
    from clustersim.scenario.text import decoded

    data = sys.stdin.buffer.read() if file == _STANDARD_INPUT else read_bytes(Path(file), file, None)
    return decoded(file, data)


def _check_device(device: str | None) -> None:
    from clustersim.errors import ScenarioError
    from clustersim.scenario.devices import device_names, unknown_device
    from clustersim.scenario.node import Place

    if device is not None and device not in device_names():
        raise ScenarioError(unknown_device(device, Place("--device", None, None, False)))
