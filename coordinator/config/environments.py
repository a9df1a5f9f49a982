"""What every section ``environments.<name>`` of the settings has, whatever runs there."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from coordinator.config.credentials import CredentialSource
from coordinator.config.sections import RequestSeconds, Section
from coordinator.model import bounds


def _environment_name(name: str) -> str:
    if not name or "/" in name or name != name.strip() or not name.isprintable() or len(name) > bounds.AIRFLOW_NAME:
        raise ValueError(
            f"is not an environment name; expected 1 to {bounds.AIRFLOW_NAME} visible characters without '/', which "
            "separates an environment from its pipeline"
        )
    return name


EnvironmentName = Annotated[str, AfterValidator(_environment_name)]


class EnvironmentSettings(Section):
    """An environment of any kind. Each kind has a model of its own, which extends this one (docs/runners.md).

    :ivar kind: which runner it needs (:mod:`coordinator.config.kinds`).
    :ivar max_in_flight: requests sent at the same time.
    :ivar max_runs_in_flight: runs that the coordinator has started and that have not ended; ``None``: any number.
    :ivar max_starts_per_minute: runs that it starts; a sixth of them may start at once. ``None``: any number.
    :ivar request_timeout: seconds for one request that starts or clears a run.
    :ivar partition_characters: characters that partitions may contain besides ASCII letters and digits; the first one
        must be a letter or digit. Other partitions are not started here. ``None``: anything.
    """

    kind: str
    max_in_flight: int = Field(default=8, ge=1, le=256)
    max_runs_in_flight: int | None = Field(default=None, ge=1)
    max_starts_per_minute: int | None = Field(default=None, ge=1)
    request_timeout: RequestSeconds = 5.0
    partition_characters: str | None = Field(default=None, max_length=bounds.PATTERN)

    @property
    def reports(self) -> bool:
        """Whether something there reports, so that its silence is a problem."""
        return False

    @property
    def is_observed(self) -> bool:
        """Whether all its runs are followed, by asking which have changed."""
        return False

    @property
    def credentials_go_to(self) -> str | None:
        """The address to which requests go, with credentials; ``None``: there is none."""
        return None

    @property
    def pages(self) -> str | None:
        """The address of its pages for people; ``None``: it has none, or it is unknown."""
        return None

    def credentials(self, name: str) -> tuple[CredentialSource, ...]:
        """The sources of its credentials, those that are not configured too. ``name``: of this environment."""
        del name
        return ()

    def takes_partition(self, partition: str) -> bool:
        """Whether runs for this partition may be started here."""
        allowed = self.partition_characters
        return allowed is None or (
            _is_plain(partition[:1]) and all(_is_plain(one) or one in allowed for one in partition)
        )


def _is_plain(character: str) -> bool:
    """Whether it is an ASCII letter or digit."""
    return character.isascii() and character.isalnum()
