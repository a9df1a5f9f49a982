"""The section ``reporter`` of the settings: the listener inside Airflow."""

from __future__ import annotations

from pathlib import Path

from coordinator.config.environments import EnvironmentName
from coordinator.config.sections import Section
from coordinator.model.references import DEFAULT_ENVIRONMENT


class ReporterSettings(Section):
    """The listener inside Airflow: the environment that it reports for, and its outbox."""

    environment: EnvironmentName = DEFAULT_ENVIRONMENT
    outbox: Path | None = None
