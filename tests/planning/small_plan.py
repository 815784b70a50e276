"""A small plan over two nodes, every layout of which can be simulated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NARROW_FABRIC = {  # two nodes whose GPUs share one NIC, under switches that are oversubscribed
    "fabric": "leaf-spine",
    "device": "A100-SXM4-80GB",
    "nodes": 2,
    "gpus_per_node": 2,
    "scaleup": {"bandwidth": "300 GB/s", "latency": "500 ns"},
    "nics_per_node": 1,
    "nic": {"bandwidth": "200 Gbps", "latency": "1 us"},
    "nodes_per_leaf": 1,
    "oversubscription": 2.0,
    "power": {"node": "6.5 kW"},
}
SMALL: dict[str, Any] = {
    "version": 1,
    "name": "small",
    "model": {"num_layers": 4, "hidden_size": 1024, "num_attention_heads": 8, "vocab_size": 8000, "seq_length": 2048},
    "cluster": {"topology": NARROW_FABRIC, "gpus": 4},
    "batch": {"global_batch_size": 8},
    "plan": {
        "schedules": ["1f1b", "gpipe", "interleaved-1f1b", "zb-h1", "zb-v", "hanayo"],
        "recompute": ["none", "full"],
        "zero_stage": [0, 1, 2, 3],
        "micro_batch_size": [2, 4],
        "cp": [1, 2],
        "gpus": [4, 2],
    },
}


def written(folder: Path, **sections: Any) -> Path:
    path = folder / "small.json"
    path.write_text(json.dumps(SMALL | sections))
    return path
