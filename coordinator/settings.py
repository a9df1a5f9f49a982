"""Settings: ``coordinator.toml`` and environment variables (design section 6), read into checked values.

Every value can also be given by an environment variable: ``COORDINATOR_`` and the path with ``__`` between,
for example ``COORDINATOR_ETCD__ENDPOINTS='["10.0.0.1:2379"]'``. A variable wins over the file. Credentials
stand in neither: settings name a variable or a file that holds them.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from coordinator.credentials import CredentialSource
from coordinator.errors import ConfigurationError
from coordinator.model import bounds
from coordinator.model.durations import parse_duration
from coordinator.model.references import DEFAULT_ENVIRONMENT

CONFIG_VARIABLE = "COORDINATOR_CONFIG"


class _Section(BaseModel):
    # hide_input_in_errors: a credential that somebody wrote into the file is refused, and must not be in a traceback.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="after")
    def _no_nul(self) -> Self:
        for name, value in self:
            if isinstance(value, str | Path) and "\0" in str(value):
                raise ValueError(f"{name} holds a NUL character, which no path and no name has")
        return self


Seconds = Annotated[float, Field(gt=0, le=bounds.SECONDS, allow_inf_nan=False)]
RequestSeconds = Annotated[float, Field(gt=0, le=bounds.REQUEST_SECONDS, allow_inf_nan=False)]


def _is_a_word(text: str) -> bool:
    """Whether it has neither blanks nor anything that cannot be seen."""
    return text.isprintable() and not any(character.isspace() for character in text)


def _environment_name(name: str) -> str:
    if not name or "/" in name or name != name.strip() or not name.isprintable() or len(name) > bounds.AIRFLOW_NAME:
        raise ValueError(
            f"is no name of an environment; expected 1 to {bounds.AIRFLOW_NAME} characters that can be seen, without "
            "'/', which divides an environment from its pipeline"
        )
    return name


EnvironmentName = Annotated[str, AfterValidator(_environment_name)]
_PORT = re.compile("[0-9]{1,5}")
_Command = Annotated[list[str], Field(min_length=1)]


class _WithPassword(_Section):
    """A section with a password, by reference."""

    password_env: str | None = None
    password_file: Path | None = None
    password_command: _Command | None = None

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        _refuse_several(self, "password")
        return self


class _WithToken(_Section):
    """A section with a token, by reference."""

    token_env: str | None = None
    token_file: Path | None = None
    token_command: _Command | None = None

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        _refuse_several(self, "token")
        return self


class EtcdSettings(_WithPassword):
    """Where etcd is. ``timeout``: seconds for one request."""

    endpoints: list[str] = Field(default_factory=lambda: ["127.0.0.1:2379"], min_length=1)
    prefix: str = "/coordinator"
    timeout: RequestSeconds = 5.0
    ca_cert: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    username: str | None = None

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
            if "@" in endpoint:  # whoever writes that has written a password too: not repeated
                raise ValueError("holds credentials; use username with password_env, password_file or password_command")
            host, colon, port = endpoint.rpartition(":")
            good = host and colon and _PORT.fullmatch(port) and int(port) <= 65_535
            if not good or "/" in endpoint or not _is_a_word(endpoint):
                raise ValueError(f"{endpoint!r} is not an endpoint; expected 'host:port', like '127.0.0.1:2379'")
        return endpoints

    def password_source(self) -> CredentialSource:
        """Where the password is."""
        return _source(self, "password", "etcd")

    def password(self) -> str | None:
        """The password. Raises as :meth:`coordinator.credentials.CredentialSource.read` does."""
        return self.password_source().read()


class EnvironmentSettings(_WithPassword, _WithToken):
    """One Airflow deployment.

    :ivar max_in_flight: requests sent at the same time; 1 where Airflow runs on SQLite.
    :ivar max_runs_in_flight: runs that the coordinator has started and that have not ended; ``None``: any number.
    :ivar max_starts_per_minute: runs that it starts; a sixth of them may start at once. ``None``: any number.
    :ivar request_timeout: seconds for one request that starts or clears a run.
    """

    kind: Literal["airflow"] = "airflow"
    url: str
    username: str | None = None
    ca_cert: Path | None = None
    max_in_flight: int = Field(default=8, ge=1, le=256)
    max_runs_in_flight: int | None = Field(default=None, ge=1)
    max_starts_per_minute: int | None = Field(default=None, ge=1)
    request_timeout: RequestSeconds = 5.0

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        # Credentials in an address would end up in messages, also in the one that refuses them.
        if "@" in url:
            raise ValueError(
                "holds credentials; use username with password_env, password_file or password_command, or a token"
            )
        if "?" in url or "#" in url:
            raise ValueError("has a query or a fragment; expected an address like 'http://127.0.0.1:8080'")
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is not a URL; expected one like 'http://127.0.0.1:8080'")
        try:
            parts = urlsplit(url)
            # A name with an empty or too long label fails only where it is looked up, and not as an OSError.
            named = parts.hostname is not None and parts.port != 0 and bool(parts.hostname.encode("idna"))
        except ValueError as error:
            raise ValueError(f"{url!r} is not a URL: {error}; expected one like 'http://127.0.0.1:8080'") from None
        if not named or not _is_a_word(url):
            raise ValueError(f"{url!r} is not a URL; expected one like 'http://127.0.0.1:8080'")
        return url.rstrip("/")

    def password_source(self, name: str) -> CredentialSource:
        """Where the password is. ``name``: of this environment, for messages."""
        return _source(self, "password", f"environments.{name}")

    def token_source(self, name: str) -> CredentialSource:
        """Where the token is. ``name``: of this environment, for messages."""
        return _source(self, "token", f"environments.{name}")

    def password(self, name: str) -> str | None:
        """The password. Raises as :meth:`coordinator.credentials.CredentialSource.read` does."""
        return self.password_source(name).read()

    def token(self, name: str) -> str | None:
        """The token. Raises as :meth:`coordinator.credentials.CredentialSource.read` does."""
        return self.token_source(name).read()


class WatcherSettings(_Section):
    """The service. All durations in seconds.

    :ivar lease_ttl: a leader that is silent for so long is replaced.
    :ivar fresh_for: an input whose completion arrived live so recently needs no look.
    :ivar look_timeout: bound of a look at upstreams' environments.
    :ivar follow_after: a run that has reported nothing for so long is asked about, and then again as often.
    :ivar blocked_retry: a refused request is tried again so often.
    :ivar reexamine_every: everything is examined again so often, whether or not something happened.
    :ivar missed_after: what completed so long before a watcher began to lead was missed (``catchup``).
    :ivar backoff_max: the longest pause between two tries on an environment that does not answer.
    :ivar decision_log: where a line is written for each decision: a path, or ``-`` for standard output.
    """

    lease_ttl: int = Field(default=10, ge=2, le=int(bounds.REQUEST_SECONDS))
    fresh_for: float = Field(default=1.0, ge=0, le=bounds.SECONDS)
    look_timeout: RequestSeconds = 2.0
    follow_after: Seconds = 5.0
    blocked_retry: Seconds = 60.0
    reexamine_every: Seconds = 300.0
    missed_after: Seconds = 60.0
    backoff_initial: Seconds = 0.5
    backoff_max: Seconds = 30.0
    decision_log: str | None = Field(default=None, min_length=1)


class RetentionSettings(_Section):
    """What becomes of old partitions. All durations as people write them: ``90 days``.

    :ivar max_age: a partition in which nothing has happened for so long is removed; ``None``: it is kept for ever.
    :ivar max_partitions: of each pipeline at most so many are kept; ``None``: all.
    :ivar min_age: a partition in which something has happened since is never removed: a report may still be on its way.
    :ivar give_up_after: what only waits, for an input that does not come or that nobody mends, does not keep anything
        once nothing has happened for so long; ``None``: it waits for ever.
    :ivar every: the pause between two sweeps.
    :ivar acts: what people did is kept for so long.
    """

    max_age: str | None = None
    max_partitions: int | None = Field(default=None, ge=1)
    min_age: str = "1 day"
    give_up_after: str | None = None
    every: str = "1 hour"
    acts: str = "365 days"

    @field_validator("max_age", "min_age", "give_up_after", "every", "acts")
    @classmethod
    def _duration(cls, text: str | None) -> str | None:
        if text is not None:
            parse_duration(text)
        return text

    @field_validator("max_age", "give_up_after", "every")
    @classmethod
    def _not_nothing(cls, text: str | None) -> str | None:
        if text is not None and not parse_duration(text):
            raise ValueError(f"{text!r} is no time at all; expected a duration such as '90 days'")
        return text

    @property
    def longest(self) -> timedelta | None:
        """``max_age``, read."""
        return parse_duration(self.max_age) if self.max_age is not None else None

    @property
    def patience(self) -> timedelta | None:
        """``give_up_after``, read."""
        return parse_duration(self.give_up_after) if self.give_up_after is not None else None

    @property
    def shortest(self) -> timedelta:
        """``min_age``, read."""
        return parse_duration(self.min_age)


class HttpSettings(_WithToken):
    """The HTTP listener of the watcher; no ``listen``, no listener. What it shows to whom: docs/security.md.

    :ivar listen: ``host:port``; a port alone is one of 127.0.0.1.
    :ivar client_ca: only who has a certificate of it may connect.
    """

    listen: str | None = None
    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None

    @field_validator("listen", mode="before")
    @classmethod
    def _host_and_port(cls, listen: object) -> object:
        text = str(listen) if isinstance(listen, int) else listen
        if not isinstance(text, str):
            return text
        host, _, port = text.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") and host.endswith("]") else None
        if not (port.isascii() and port.isdigit() and int(port) <= 65_535) or (":" in host and bare is None):
            raise ValueError("is not an address; expected 'host:port' or a port, like '127.0.0.1:8600' or '[::1]:8600'")
        return f"{host or '127.0.0.1'}:{int(port)}"

    @model_validator(mode="after")
    def _certificates(self) -> Self:
        if (self.cert is None) is not (self.key is None):
            raise ValueError("cert and key belong together, and only one of them is set")
        if self.client_ca is not None and self.cert is None:
            raise ValueError("client_ca is set without cert and key; without them the listener speaks no TLS")
        return self

    @model_validator(mode="after")
    def _no_token_in_the_clear(self) -> Self:
        if self.token_source() and self.cert is None and not self.is_loopback:
            raise ValueError(
                f"a token would cross the network in the clear to {self.listen}; set cert and key, or listen on "
                "127.0.0.1 behind something that speaks TLS"
            )
        return self

    @property
    def host(self) -> str:
        """Where to listen, without brackets."""
        return (self.listen or "").rpartition(":")[0].removeprefix("[").removesuffix("]")

    @property
    def port(self) -> int:
        return int((self.listen or "0").rpartition(":")[2])

    @property
    def is_loopback(self) -> bool:
        """Whether nobody from outside this machine can connect. A name is trusted to be what it says for one name."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.listen is None

    def token_source(self) -> CredentialSource:
        """Where the token is that a request needs."""
        return _source(self, "token", "http")


class ReporterSettings(_Section):
    """The listener inside Airflow: which environment it speaks for, and where its outbox is."""

    environment: EnvironmentName = DEFAULT_ENVIRONMENT
    outbox: Path | None = None


class Settings(BaseSettings):
    """Everything that can be configured."""

    # hide_input_in_errors: a credential that somebody wrote into the file is refused, and must not be in a traceback.
    model_config = SettingsConfigDict(
        env_prefix="COORDINATOR_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    etcd: EtcdSettings = Field(default_factory=EtcdSettings)
    environments: dict[EnvironmentName, EnvironmentSettings] = Field(default_factory=dict)
    watcher: WatcherSettings = Field(default_factory=WatcherSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    reporter: ReporterSettings = Field(default_factory=ReporterSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables win over the file (which arrives as init values); nothing else is read."""
        return (env_settings, init_settings)


def load_settings(path: str | Path | None = None) -> Settings:
    """Read the settings.

    :param path: the file; without one, the variable ``COORDINATOR_CONFIG`` names it; without that, variables
        and defaults alone.
    :raises ConfigurationError: with file, place, reason.
    """
    chosen = path or os.environ.get(CONFIG_VARIABLE)
    document = _document(chosen) if chosen else {}
    try:
        return Settings(**document)
    except ValidationError as error:
        where = str(chosen) if chosen else "environment variables"
        problems = "\n".join(
            f"{where}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise ConfigurationError(problems) from error
    except SettingsError as error:  # a variable that should hold JSON (a list, a section) holds something else
        raise ConfigurationError(f"environment variables: {error}: {error.__cause__}; expected JSON") from error


def _document(file: str | Path) -> dict[str, Any]:
    try:
        with open(file, "rb") as opened:
            content = opened.read(bounds.CONFIGURATION + 1)
        if len(content) > bounds.CONFIGURATION:
            raise ConfigurationError(f"{file}: more than {bounds.CONFIGURATION} bytes; expected a coordinator.toml")
        document = tomllib.loads(content.decode())
    except FileNotFoundError:
        raise ConfigurationError(
            f"{file}: no such file; name the configuration with --config or {CONFIG_VARIABLE}"
        ) from None
    except RecursionError:
        raise ConfigurationError(f"{file}: cannot be read: nested too deep") from None
    except (OSError, ValueError) as error:  # no UTF-8, no TOML, a number with thousands of digits, a NUL in the path
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    # pydantic-settings takes what begins with "_" for its own options, like _cli_parse_args.
    for name in document:
        if name.startswith("_"):
            raise ConfigurationError(f"{file}: {name}: unknown section; known are {', '.join(Settings.model_fields)}")
    return document


def _source(section: _WithPassword | _WithToken, kind: str, owner: str) -> CredentialSource:
    command = getattr(section, f"{kind}_command")
    return CredentialSource(
        owner=owner,
        kind=kind,
        variable=getattr(section, f"{kind}_env"),
        file=getattr(section, f"{kind}_file"),
        command=tuple(command) if command is not None else None,
    )


def _refuse_several(section: BaseModel, kind: str) -> None:
    names = [name for name in (f"{kind}_env", f"{kind}_file", f"{kind}_command") if getattr(section, name) is not None]
    if len(names) > 1:
        raise ValueError(f"{' and '.join(names)} are set, and only one can hold; keep one of them")
