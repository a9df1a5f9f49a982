"""Which etcd the provider uses, and under which name its Airflow reports there.

They come from an Airflow connection where one is named, and otherwise from the configuration of the coordinator on that
host (``COORDINATOR_CONFIG`` or variables), as for the plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from socket import gethostname
from typing import TYPE_CHECKING, Any, Protocol

from coordinator.errors import ConfigurationError

if TYPE_CHECKING:
    from coordinator.config.etcd import EtcdSettings
    from coordinator.config.reporter import ReporterSettings

_FIELDS = ("endpoints", "prefix", "environment", "ca_cert", "cert", "key")


class Connection(Protocol):
    """What is read of an Airflow connection."""

    conn_id: str
    host: str | None
    port: int | None
    login: str | None
    password: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class EtcdConfig:
    """:ivar etcd: the connection settings. :ivar environment: the name of this Airflow."""

    etcd: EtcdSettings
    environment: str


def from_configuration() -> EtcdConfig:
    """From the configuration of the coordinator. :raises ConfigurationError: it is wrong, or names no etcd."""
    from coordinator.config import CONFIG_VARIABLE
    from coordinator.config.loading import load_settings

    settings = load_settings()
    if settings.file is None and "endpoints" not in settings.etcd.model_fields_set:
        raise ConfigurationError(
            f"no etcd is named on {gethostname()}: expected COORDINATOR_ETCD__ENDPOINTS or {CONFIG_VARIABLE} in the "
            "environment of every worker and triggerer, or etcd_conn_id, which names an Airflow connection"
        )
    return EtcdConfig(settings.etcd, settings.reporter.environment)


def from_connection(connection: Connection) -> EtcdConfig:
    """From an Airflow connection of the type ``etcd``. Without ``environment`` in it, that of the host's configuration.

    :raises ConfigurationError: a field is wrong; the message does not contain the password.
    """
    from pydantic import ValidationError

    from coordinator.config.etcd import EtcdSettings

    where = f"the Airflow connection {connection.conn_id!r}"
    extra = {name: value for name, value in connection.extra_dejson.items() if value not in (None, "")}
    if unknown := sorted(extra.keys() - {*_FIELDS}):
        raise ConfigurationError(f"{where}: unknown in its extra: {', '.join(unknown)}; known are {', '.join(_FIELDS)}")
    named = str(extra.pop("endpoints", ""))
    endpoints = [one.strip() for one in named.split(",") if one.strip()]
    if not endpoints:
        if not connection.host:
            raise ConfigurationError(f"{where} has neither a host nor endpoints in its extra")
        endpoints = [f"{connection.host}:{connection.port or 2379}"]
    environment = extra.pop("environment", None)
    try:
        reporter = _reporter(environment)
        etcd = EtcdSettings(endpoints=endpoints, username=connection.login or None, **extra)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigurationError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if connection.password:
        etcd.give_password(connection.password, owner=where)
    return EtcdConfig(etcd, reporter.environment)


def _reporter(environment: Any) -> ReporterSettings:
    """That of the host's configuration, or one for the environment that the Airflow connection names."""
    if environment is None:
        from coordinator.config.loading import load_settings

        return load_settings().reporter
    from coordinator.config.reporter import ReporterSettings

    return ReporterSettings(environment=environment)
