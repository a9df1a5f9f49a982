"""The sections ``environments.<name>`` of Airflow deployments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from coordinator.config.credentials import CredentialSource
from coordinator.config.environments import EnvironmentSettings
from coordinator.config.sections import WithPassword, WithToken, source_of
from coordinator.config.web_address import web_address


class AirflowSettings(EnvironmentSettings, WithPassword, WithToken):
    """One Airflow deployment.

    :ivar kind: ``airflow`` (3.x), ``airflow2`` (2.9 to 2.11), ``composer`` (either, with Google's credentials), or
        ``mwaa`` (either, through AWS).
    :ivar airflow_version: of a Composer or MWAA environment; ``None``: 3.
    :ivar mwaa_name: the name of an MWAA environment in its ``region``.
    :ivar url: of Airflow; of an MWAA environment the endpoint of AWS, which follows from the region.
    :ivar web_url: where people's browsers reach its pages; ``None``: at ``url``.
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
    def credentials_go_to(self) -> str:
        return self.url

    @property
    def pages(self) -> str | None:
        # What AWS answers at ``url`` is no page.
        return self.web_url or (None if self.kind == "mwaa" else self.url)

    @property
    def reports(self) -> bool:
        return self.plugin and not self.observe

    @property
    def is_observed(self) -> bool:
        return self.observe

    def credentials(self, name: str) -> tuple[CredentialSource, ...]:
        return self.password_source(name), self.token_source(name)

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
