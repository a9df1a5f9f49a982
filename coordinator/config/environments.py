"""The sections ``environments.<name>`` of the settings: the Airflow deployments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from coordinator.config.credentials import CredentialSource
from coordinator.config.sections import RequestSeconds, WithPassword, WithToken, source_of
from coordinator.config.web_address import web_address
from coordinator.model import bounds


def _environment_name(name: str) -> str:
    if not name or "/" in name or name != name.strip() or not name.isprintable() or len(name) > bounds.AIRFLOW_NAME:
        raise ValueError(
            f"is not an environment name; expected 1 to {bounds.AIRFLOW_NAME} visible characters without '/', which "
            "separates an environment from its pipeline"
        )
    return name


EnvironmentName = Annotated[str, AfterValidator(_environment_name)]


class EnvironmentSettings(WithPassword, WithToken):
    """One Airflow deployment.

    :ivar kind: ``airflow`` (3.x), ``airflow2`` (2.9 to 2.11), ``composer`` (either, with Google's credentials), or
        ``mwaa`` (either, through AWS).
    :ivar airflow_version: of a Composer or MWAA environment; ``None``: 3.
    :ivar mwaa_name: the name of an MWAA environment in its ``region``.
    :ivar url: of Airflow; of an MWAA environment the endpoint of AWS, which follows from the region.
    :ivar web_url: where people's browsers reach its pages; ``None``: at ``url``.
    :ivar max_in_flight: requests sent at the same time; 1 where Airflow runs on SQLite.
    :ivar max_runs_in_flight: runs that the coordinator has started and that have not ended; ``None``: any number.
    :ivar max_starts_per_minute: runs that it starts; a sixth of them may start at once. ``None``: any number.
    :ivar request_timeout: seconds for one request that starts or clears a run.
    :ivar partition_characters: characters that partitions may contain besides ASCII letters and digits; the first one
        must be a letter or digit. Other partitions are not started here. ``None``: anything.
    :ivar plugin: the coordinator's plugin runs there: it is a problem if it is not heard from.
    :ivar observe: nothing is installed there: all its runs are followed through its REST API.
    """

    kind: Literal["airflow", "airflow2", "composer", "mwaa"] = "airflow"
    airflow_version: Literal[2, 3] | None = None
    mwaa_name: str | None = None
    region: str | None = None
    url: str
    web_url: str | None = None
    username: str | None = None
    ca_cert: Path | None = None
    max_in_flight: int = Field(default=8, ge=1, le=256)
    max_runs_in_flight: int | None = Field(default=None, ge=1)
    max_starts_per_minute: int | None = Field(default=None, ge=1)
    request_timeout: RequestSeconds = 5.0
    partition_characters: str | None = Field(default=None, max_length=bounds.PATTERN)
    plugin: bool = True
    observe: bool = False

    @model_validator(mode="before")
    @classmethod
    def _with_the_endpoint_of_aws(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("kind") == "mwaa" and "url" not in given:
            region = given.get("region")
            if not isinstance(region, str) or not re.fullmatch(r"[a-z0-9-]+", region):
                raise ValueError("kind 'mwaa' needs mwaa_name and region, like region = \"eu-central-1\"")
            domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
            return {**given, "url": f"https://env.airflow.{region}.{domain}"}
        return given

    @field_validator("url", "web_url")
    @classmethod
    def _http(cls, url: str | None) -> str | None:
        # Credentials in an address would end up in messages, also in the one that refuses them.
        if url is not None and "@" in url:
            raise ValueError(
                "holds credentials; use username with password_env, password_file or password_command, or a token"
            )
        return None if url is None else web_address(url)

    @model_validator(mode="after")
    def _as_the_kind_needs(self) -> Self:
        whose = {"composer": "Google's application default credentials", "mwaa": "AWS credentials"}.get(self.kind)
        if whose is None:
            if self.airflow_version is not None:
                raise ValueError(
                    "airflow_version is only for kinds 'composer' and 'mwaa'; kind 'airflow' is version 3, 'airflow2' "
                    "version 2"
                )
        elif self.username is not None or source_of(self, "token", "") or source_of(self, "password", ""):
            raise ValueError(f"kind {self.kind!r} uses {whose}; remove username, password_* and token_*")
        if self.kind == "mwaa" and not (self.mwaa_name and self.region):
            raise ValueError("kind 'mwaa' needs mwaa_name and region")
        if self.kind != "mwaa" and (self.mwaa_name is not None or self.region is not None):
            raise ValueError("mwaa_name and region are for kind 'mwaa'")
        return self

    @property
    def api_version(self) -> int:
        """The version of Airflow whose API it has."""
        return 2 if self.kind == "airflow2" else self.airflow_version or 3

    @property
    def pages(self) -> str | None:
        """The address of Airflow's pages; ``None``: unknown, as what AWS answers at ``url`` is no page."""
        return self.web_url or (None if self.kind == "mwaa" else self.url)

    @property
    def reports(self) -> bool:
        """Whether something there reports, so that its silence is a problem."""
        return self.plugin and not self.observe

    def takes_partition(self, partition: str) -> bool:
        """Whether runs for this partition may be started here."""
        allowed = self.partition_characters
        return allowed is None or (
            _is_plain(partition[:1]) and all(_is_plain(one) or one in allowed for one in partition)
        )

    def password_source(self, name: str) -> CredentialSource:
        """The source of the password. ``name``: of this environment, for messages."""
        return source_of(self, "password", f"environments.{name}")

    def token_source(self, name: str) -> CredentialSource:
        """The source of the token. ``name``: of this environment, for messages."""
        return source_of(self, "token", f"environments.{name}")

    def password(self, name: str) -> str | None:
        """The password. Raises as :meth:`coordinator.config.credentials.CredentialSource.read` does."""
        return self.password_source(name).read()

    def token(self, name: str) -> str | None:
        """The token. Raises as :meth:`coordinator.config.credentials.CredentialSource.read` does."""
        return self.token_source(name).read()


def _is_plain(character: str) -> bool:
    """Whether it is an ASCII letter or digit."""
    return character.isascii() and character.isalnum()
