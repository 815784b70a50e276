"""Scenarios that tests start from."""

MINIMAL = """\
version: 1
stage_costs:
  forward: 10 ms
  input_grad: 10 ms
  weight_grad: 10 ms
  activation: 1 GiB
cluster:
  topology: {fabric: full-mesh, gpus: 8}
parallelism:
  pp: 4
batch:
  num_microbatches: 8
schedule: 1f1b
"""
