"""Importers: what other tools print of a machine or a cluster becomes a graph.

An importer is a pure function ``(file name, text, asked) -> DrawnGraph``. What the text doesn't tell, above all
bandwidths, is asked of the user (`Asked`) and never guessed; all that is missing is told together. What the text tells
wrongly is refused with its position.
"""

from clustersim.topology.importers.asked import Asked
from clustersim.topology.importers.nccl import import_nccl
from clustersim.topology.importers.nvidia_smi import import_nvidia_smi
from clustersim.topology.importers.slurm import import_slurm
from clustersim.topology.importers.written import node_link_text

__all__ = ["Asked", "import_nccl", "import_nvidia_smi", "import_slurm", "node_link_text"]
