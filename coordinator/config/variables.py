"""Settings given by environment variables. A list or a whole section stands in one as JSON."""

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
    """A variable holds something else. What it holds is not repeated: it may be a credential."""


class Variables(EnvSettingsSource):
    """As the base class reads them; what is wrong is told with the variable's name."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError as error:
            expected = LIST if field is not None and get_origin(field.annotation) is list else SECTION
            raise NotJson(f"{_variable(field_name, value)}: is not JSON; expected {expected}") from error


def _variable(field_name: str, value: object) -> str:
    """The variable that holds a value. The base class tells the last part of its name only, in any spelling."""
    ending = field_name.upper()
    holding = (name for name, held in os.environ.items() if held == value and name.upper().startswith(PREFIX))
    return next((name for name in holding if name.upper().endswith(ending)), f"{PREFIX}...{ending}")
