"""The JSON Schema of ``dags.yaml``, for editors and other programs; ``$schema`` in the file may name it.

It knows what a schema can say. Names that must exist elsewhere in the file are for ``read_configuration``.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def json_schema() -> dict[str, Any]:
    """The schema, as it is published with the package."""
    schema: dict[str, Any] = json.loads(
        files("coordinator.dags.configuration").joinpath("dags.schema.json").read_text(encoding="utf-8")
    )
    return schema
