"""Which Airflow a sender belongs to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AirflowIdentity:
    """The version of an Airflow, and its address (``[api] base_url``)."""

    version: str | None = None
    url: str | None = None

    @property
    def is_old(self) -> bool:
        """Whether it is an Airflow 2."""
        return self.version is not None and self.version.startswith("2.")

    def as_arguments(self) -> list[str]:
        """The arguments for the command line of a sender."""
        named = (("--airflow-version", self.version), ("--airflow-url", self.url))
        return [f"{option}={value}" for option, value in named if value]


NO_AIRFLOW = AirflowIdentity()
"""An unknown Airflow."""
