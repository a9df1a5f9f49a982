"""etcd settings whose password is in an Airflow connection, and not in a variable or a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import PrivateAttr

from coordinator.config.credentials import COMMAND_WITHIN, CredentialSource
from coordinator.config.settings import EtcdSettings


@dataclass(frozen=True)
class GivenPassword(CredentialSource):
    """:ivar value: the password; empty: there is none."""

    value: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.value)

    def read(self, *, within: float = COMMAND_WITHIN, environ: Mapping[str, str] | None = None) -> str | None:
        del within, environ
        return self.value or None


class EtcdWithPassword(EtcdSettings):
    """Settings from an Airflow connection."""

    _value: str = PrivateAttr(default="")

    def give(self, password: str) -> None:
        """:param password: of the connection; empty: there is none."""
        self._value = password

    def password_source(self) -> CredentialSource:
        return GivenPassword(owner="the Airflow connection", kind="password", value=self._value)
