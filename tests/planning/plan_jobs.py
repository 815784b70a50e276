"""Small jobs that questions of a plan are asked about."""

from __future__ import annotations

from typing import Any

from clustersim.scenario.load import scenario_from_mapping
from clustersim.scenario.spec import Scenario

PRICES = {"prices": {"A100-SXM4-80GB": {"price": "2 USD/h"}}, "host": 0.5, "network": 0.1, "pue": 1.25, "draw": 1.0}


FAT_TREE = {  # nodes that are set apart by their hosts; the rest is said by who asks
    "fabric": "fat-tree",
    "scaleup": {"bandwidth": "300 GB/s", "latency": "500 ns"},
    "nic": {"bandwidth": "100 Gbps", "latency": "2 us"},
}


def small_model(**sections: Any) -> Scenario:
    """Return a small model on nodes of 8 A100, 2 GPUs a replica, 64 samples a step."""
    mapping: dict[str, Any] = {
        "version": 1,
        "model": {
            "num_layers": 4, "hidden_size": 1024, "num_attention_heads": 8, "vocab_size": 51200, "seq_length": 512,
        },
        "cluster": {"topology": "dgx-a100", "gpus": 4},
        "parallelism": {"pp": 2, "dp": 2, "zero_stage": 1},
        "batch": {"global_batch_size": 64},
        "schedule": "1f1b",
        "economics": PRICES,
    }  # fmt: skip
    return scenario_from_mapping(mapping | sections)


def given_costs(**sections: Any) -> Scenario:
    """Return 2 stages of 1 s forward and 2 s backward on ideal wires, 16 micro-batches a step, which dp divides."""
    mapping: dict[str, Any] = {
        "version": 1,
        "stage_costs": {"forward": "1 s", "backward": "2 s"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 64, "device": "A100-SXM4-80GB"}},
        "parallelism": {"pp": 2},
        "batch": {"num_microbatches": 16},
        "schedule": "1f1b",
        "economics": PRICES,
    }
    return scenario_from_mapping(mapping | sections)
