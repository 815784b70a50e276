"""A device as the text of a file, which a topology may name by its path."""

from __future__ import annotations

import yaml

from clustersim.scenario.devices import Device


def device_text(device: Device, heading: str = "") -> str:
    """Return a device file, with `heading` as comments above it; it reads back as the same device.

    Examples
    --------
    >>> device = Device(name="X1", vendor="me", memory="80 GiB", peak_flop_per_s={"bf16": "312 TFLOP/s"})
    >>> print(device_text(device, "Mine."), end="")
    # Mine.
    name: X1
    vendor: me
    memory: 80 GiB
    peak_flop_per_s:
      bf16: 312 TFLOP/s
    """
    values = device.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    comments = "".join(f"# {line}".rstrip() + "\n" for line in heading.splitlines())
    return comments + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
