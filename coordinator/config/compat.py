"""The section ``compat`` of the settings: keys of other systems."""

from __future__ import annotations

from pydantic import field_validator

from coordinator.config.environments import EnvironmentName
from coordinator.config.sections import Section
from coordinator.model.references import DEFAULT_ENVIRONMENT


class CompatSettings(Section):
    """Keys of other systems that are read as run states.

    :ivar etl_state: the prefix of the playground's keys, such as ``/etl_state/tasks``; ``None``: they are not read.
    :ivar environment: that its pipelines belong to.
    """

    etl_state: str | None = None
    environment: EnvironmentName = DEFAULT_ENVIRONMENT

    @field_validator("etl_state")
    @classmethod
    def _a_prefix(cls, prefix: str | None) -> str | None:
        if prefix is not None and (not prefix.startswith("/") or not prefix.rstrip("/")):
            raise ValueError("must start with '/' and name something, like '/etl_state/tasks'")
        return prefix if prefix is None else prefix.rstrip("/")
