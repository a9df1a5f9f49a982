"""Settings from environment variables. A list or a whole section is given as JSON."""

from __future__ import annotations

import os
from typing import Any, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

PREFIX = "COORDINATOR_"

LIST = """a list as JSON, such as '["10.0.0.1:2379"]'"""
SECTION = (
    """a section as JSON, such as '{"prefix": "/coordinator"}', or a variable for each of its settings, such as """
    "COORDINATOR_ETCD__PREFIX"
)


class NotJson(ValueError):
    """A variable does not contain JSON. Its content is not repeated: it may be a credential."""


class Variables(EnvSettingsSource):
    """As the base class; errors contain the name of the variable."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError as error:
            expected = LIST if field is not None and get_origin(field.annotation) is list else SECTION
            raise NotJson(f"{_variable(field_name, value)}: is not JSON; expected {expected}") from error


def _variable(field_name: str, value: object) -> str:
    """The variable of a value. The base class gives only the last part of its name, in any spelling."""
    ending = field_name.upper()
    holding = (name for name, held in os.environ.items() if held == value and name.upper().startswith(PREFIX))
    return next((name for name in holding if name.upper().endswith(ending)), f"{PREFIX}...{ending}")
