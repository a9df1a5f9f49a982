"""Makes the JSON Schema of ``dags.yaml`` out of the forms. ``make schema`` writes it into the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from coordinator.dags.configuration.forms import Configuration

SHIPPED: Final = Path(__file__).with_name("dags.schema.json")
ID: Final = "urn:etcd-coordinator:dags:1"
"""What programs know the schema by: a name, no address. The number grows when a file that was good no longer is."""


def written() -> str:
    """The schema as the package ships it."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        **_closed(Configuration.model_json_schema()),
        "title": "dags.yaml of etcd-coordinator",
    }
    return json.dumps(schema, indent=2) + "\n"


def _closed(schema: Any) -> Any:
    """As pydantic validates: a name that fits no pattern is refused."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(one) for name, one in schema.items()}
    return closed | ({"additionalProperties": False} if "patternProperties" in closed else {})


if __name__ == "__main__":
    SHIPPED.write_text(written(), encoding="utf-8")
