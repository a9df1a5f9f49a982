"""The section ``etcd`` of the settings: where etcd is, and how to connect to it."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, PrivateAttr, field_validator

from coordinator.config.credentials import CredentialSource
from coordinator.config.sections import RequestSeconds, WithPassword, source_of
from coordinator.config.web_address import is_a_word

_PORT = re.compile("[0-9]{1,5}")


class EtcdSettings(WithPassword):
    """The connection to etcd.

    :ivar timeout: seconds for one request.
    :ivar quota_mib: the members' ``--quota-backend-bytes`` in MiB, for members that do not report it (before 3.6).
    """

    endpoints: list[str] = Field(default_factory=lambda: ["127.0.0.1:2379"], min_length=1)
    prefix: str = "/coordinator"
    timeout: RequestSeconds = 5.0
    quota_mib: int = Field(default=2048, ge=1)
    ca_cert: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    username: str | None = None

    _given_password: CredentialSource | None = PrivateAttr(default=None)

    @field_validator("prefix")
    @classmethod
    def _starts_with_slash(cls, prefix: str) -> str:
        if not prefix.startswith("/") or not prefix.rstrip("/"):
            raise ValueError("must start with '/' and name something, like '/coordinator'")
        return prefix.rstrip("/")

    @field_validator("endpoints")
    @classmethod
    def _host_and_port(cls, endpoints: list[str]) -> list[str]:
        for endpoint in endpoints:
            if "@" in endpoint:  # it probably contains a password, so it is not repeated
                raise ValueError("holds credentials; use username with password_env, password_file or password_command")
            host, colon, port = endpoint.rpartition(":")
            good = host and colon and _PORT.fullmatch(port) and int(port) <= 65_535
            if not good or "/" in endpoint or not is_a_word(endpoint):
                raise ValueError(
                    f"{endpoint!r} is not an endpoint; expected 'host:port' of each member, without "
                    "'http://' and without a path, like '127.0.0.1:2379' or '[::1]:2379'"
                )
        return endpoints

    def password_source(self) -> CredentialSource:
        """The source of the password."""
        return self._given_password or source_of(self, "password", "etcd")

    def give_password(self, password: str, *, owner: str) -> None:
        """Use a password from elsewhere. Settings with another one are not equal to these.

        :param owner: where it comes from, for messages.
        """
        self._given_password = CredentialSource(owner=owner, kind="password", value=password)

    def password(self) -> str | None:
        """The password. Raises as :meth:`coordinator.config.credentials.CredentialSource.read` does."""
        return self.password_source().read()
