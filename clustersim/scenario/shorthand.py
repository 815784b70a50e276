"""Values that may be written as a mapping or as a name that stands for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class OrText:
    """Marks a field that a file may also give as text; `description` says what the text means."""

    description: str
    choices: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text: dict[str, Any] = {"type": "string", "description": self.description}
        if self.choices:
            text["enum"] = list(self.choices)
        return {"anyOf": [text, handler(schema)]}
