"""The JSON Schema of ``dependencies.json``, for editors and other programs; ``$schema`` in a document may name it.

It knows what a schema can say. Cycles, environments and a pipeline given twice are for ``parse_document``.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def json_schema() -> dict[str, Any]:
    """The schema, as it is published with the package."""
    schema: dict[str, Any] = json.loads(
        files("coordinator.model.documents").joinpath("dependencies.schema.json").read_text(encoding="utf-8")
    )
    return schema
