"""Binary columns for a page: numbers by the plane of their bytes, deflated as one, base64.

The columns of a run repeat themselves: durations take few values, micro-batches count up. The lowest bytes of all rows,
then the next ones, and so on, deflate well and are put together by a browser at a few nanoseconds a row; each column is
written with as many planes as its largest value needs. Numbers are whole and exact below 2^53, JavaScript's limit.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from clustersim.trace import Ints

_LEVEL = 6


def packed(columns: Mapping[str, Ints]) -> tuple[list[dict[str, Any]], str]:
    """Return what a browser needs in order to read columns, and the columns: (name, rows, planes of each; base64).

    Examples
    --------
    >>> layout, text = packed({"stage": np.array([0, -1, 300])})
    >>> layout
    [{'name': 'stage', 'rows': 3, 'planes': 2, 'signed': True}]
    >>> list(zlib.decompress(base64.b64decode(text)))
    [0, 1, 88, 0, 0, 2]
    """
    layout, parts = [], []
    for name, values in columns.items():
        signed = bool(len(values)) and int(values.min()) < 0
        planes = _planes(_zigzag(values) if signed else values)
        layout.append({"name": name, "rows": len(values), "planes": len(planes), "signed": signed})
        parts.append(planes.tobytes())
    return layout, base64.b64encode(zlib.compress(b"".join(parts), _LEVEL)).decode()


def _zigzag(values: Ints) -> Ints:
    """Return signed numbers as unsigned ones, small where they were small: 0, -1, 1, -2 as 0, 1, 2, 3."""
    return np.where(values < 0, -2 * values - 1, 2 * values)


def _planes(values: Ints) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the bytes of values as ``[plane][row]``, the lowest plane first, without planes of zeros at the end."""
    largest = int(values.max()) if len(values) else 0
    num_planes = max(1, -(-largest.bit_length() // 8))
    in_bytes = values.astype("<u8").view(np.uint8).reshape(len(values), 8)
    return np.ascontiguousarray(in_bytes[:, :num_planes].T)
