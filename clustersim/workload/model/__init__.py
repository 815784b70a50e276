"""What a model costs, before any device: parameters, FLOP, bytes moved and bytes kept.

Every function is pure and takes a ModelSpec. A layer is a list of linear layers (``linears.py``) around an attention
core; parameters, FLOP, GEMM shapes and what weight gradients need are all read off that list, for the whole model or
for one GPU's shard of it. ``stage.py`` adds the layers of a pipeline stage together.
"""
