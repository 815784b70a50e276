"""Importers: what other tools say of a model or a job becomes sections of a scenario.

An importer is a pure function ``(file name, text, answer) -> Imported``. What it reads it reads exactly or refuses,
with the key and the position in the file; what it had to assume it says in `Imported.notes`.
"""

from clustersim.scenario.importers.draft import Imported
from clustersim.scenario.importers.hugging_face import import_hugging_face
from clustersim.scenario.importers.megatron import import_megatron
from clustersim.scenario.importers.written import scenario_text

__all__ = ["Imported", "import_hugging_face", "import_megatron", "scenario_text"]
