"""The device of a calibration: which rows were measured on it, where the fit starts, and the file that comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from textwrap import shorten

from clustersim.errors import Fault, ScenarioError
from clustersim.planning.calibration import Calibration
from clustersim.planning.constants import IN_TRAINING
from clustersim.scenario.device_file import device_text
from clustersim.scenario.devices import Device, device_names, load_device, name_in_file
from clustersim.scenario.measured import Measured, MeasuredFile

_SHOWN_DIGITS = 12
_SHOWN_CHARACTERS = 200  # of the constants' former source, which may be a calibration itself


def starting_device(rows: Sequence[Measured], name: str | None = None) -> Device:
    """Return the device called `name`, or else the one on which all rows were measured.

    Raises
    ------
    ScenarioError
        There is no such device, it has no constants to start from, or there are several.
    """
    counts = Counter(_device_name(row) for row in rows)
    if name is None and len(counts) > 1:
        listed = ", ".join(f"{device} ({number} rows)" for device, number in counts.most_common())
        raise ScenarioError(Fault("--device", f"the rows were measured on several devices: {listed}", hint="name one"))
    device = load_device(name or str(rows[0].scenario.cluster.topology.device))
    if device.kernels is None:
        having = ", ".join(known for known in device_names() if load_device(known).kernels is not None)
        what = f"the file of {device.name} has no `kernels` from which a fit could start"
        hint = f"copy it, give it the `kernels` of a device like it (of {having}), and name the copy by --device"
        raise ScenarioError(Fault("--device", what, hint=hint))
    if device.name not in counts:
        what = f"no row was measured on {device.name}"
        raise ScenarioError(Fault("--device", what, hint=f"rows are on {', '.join(counts)}"))
    return device


def rows_on(rows: Sequence[Measured], device: Device) -> list[Measured]:
    """Return the rows that were measured on a device."""
    return [row for row in rows if _device_name(row) == device.name]


def _device_name(row: Measured) -> str:
    return _name_in_file(str(row.scenario.cluster.topology.device))


_name_in_file = cache(name_in_file)


def calibrated_text(found: Calibration, file: MeasuredFile) -> str:
    """Return the device file of a calibration, in which it is told what its constants were fitted to."""
    device = found.constants.device
    assert device.kernels is not None
    source = "; ".join(_source(found, file, device.kernels.source))
    kernels = device.kernels.model_copy(update={"source": source})
    heading = f"{device.name} with constants fitted by `clustersim calibrate`; a topology names this file as `device`."
    return device_text(device.model_copy(update={"kernels": kernels}), heading)


def _source(found: Calibration, file: MeasuredFile, former: str) -> Iterator[str]:
    """Yield where the constants of a calibration come from; `former` is where those before it did."""
    errors, share = found.errors(), found.constants.in_training
    fitted, held_out = errors["fitted"], errors["held_out"]
    yield (
        f"fitted by clustersim {version('clustersim')} to {fitted['num_rows']} times in {Path(file.name).name} "
        f"(sha256 {file.sha256[:_SHOWN_DIGITS]}), median error {fitted['after']['median']:.1%}"
    )
    yield f"of {held_out['num_rows']} held out {held_out['after']['median']:.1%}" if held_out else "none held out"
    if share is not None:
        yield f"with {IN_TRAINING} {share} of the topology's collectives"
    left = [constant.name for constant in found.fitted if constant.status != "fitted"]
    if left:
        yield f"not told by them, and left as they were: {', '.join(left)} ({shorten(former, _SHOWN_CHARACTERS)})"
