"""What the command line says of folding: how many GPUs stand for all, or why none does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

SCENARIO = """\
version: 1
stage_costs: {forward: 10 ms, backward: 20 ms, gradients: 1 MB}
cluster: {topology: {fabric: full-mesh, gpus: 16, link: {bandwidth: 1 GB/s}}}
parallelism: {pp: 4, dp: 4}
batch: {num_microbatches: 4}
schedule: 1f1b
"""


def test_run_says_how_many_gpus_stand_for_all(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    path = tmp_path / "replicas.yaml"
    path.write_text(SCENARIO)
    (_, folded, _), (_, whole, _) = run("run", str(path)), run("run", str(path), "--no-fold")
    shown, unfolded = (" ".join(text.split()) for text in (folded, whole))
    assert "4 of 16 GPUs simulated (4 replicas of 1 class)" in shown
    assert "every GPU simulated: as asked for" in unfolded
    documents = [json.loads(run("run", str(path), "--json", *more)[1]) for more in ((), ("--no-fold",))]
    assert [document.pop("provenance")["folding"]["simulated_gpus"] for document in documents] == [4, 16]
    assert documents[0] == documents[1]
