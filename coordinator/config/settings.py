"""Settings: ``coordinator.toml`` and environment variables (docs/architecture.md#interfaces), read into checked values.

Every value can also be given by an environment variable: ``COORDINATOR_`` and the path with ``__`` between,
for example ``COORDINATOR_ETCD__ENDPOINTS='["10.0.0.1:2379"]'``. A variable takes precedence over the file. Neither
contains credentials: settings name a variable, a file or a command that provides them.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from coordinator.config import CONFIG_VARIABLE
from coordinator.config.credentials import CredentialSource
from coordinator.config.http import HttpSettings
from coordinator.config.sections import RequestSeconds, Seconds, Section, WithPassword, WithToken, source_of
from coordinator.config.ui import UiSettings
from coordinator.config.variables import LIST, PREFIX, SECTION, NotJson, Variables
from coordinator.config.web_address import is_a_word, web_address
from coordinator.errors import ConfigurationError
from coordinator.model import bounds
from coordinator.model.durations import parse_duration
from coordinator.model.publishing.guard import RESUME_LIMIT
from coordinator.model.references import DEFAULT_ENVIRONMENT

__all__ = [
    "CONFIG_VARIABLE",
    "CompatSettings",
    "EnvironmentSettings",
    "EtcdSettings",
    "HttpSettings",
    "PublicationSettings",
    "ReporterSettings",
    "RetentionSettings",
    "Settings",
    "UiSettings",
    "WatcherSettings",
    "load_settings",
]


def _is_plain(character: str) -> bool:
    """Whether it is an ASCII letter or digit."""
    return character.isascii() and character.isalnum()


def _environment_name(name: str) -> str:
    if not name or "/" in name or name != name.strip() or not name.isprintable() or len(name) > bounds.AIRFLOW_NAME:
        raise ValueError(
            f"is no name of an environment; expected 1 to {bounds.AIRFLOW_NAME} visible characters without '/', which "
            "separates an environment from its pipeline"
        )
    return name


EnvironmentName = Annotated[str, AfterValidator(_environment_name)]
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
                raise ValueError("airflow_version is for kinds 'composer' and 'mwaa'; the others say it themselves")
        elif self.username is not None or source_of(self, "token", "") or source_of(self, "password", ""):
            raise ValueError(f"kind {self.kind!r} takes {whose}, and no others")
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


class WatcherSettings(Section):
    """The service. All durations in seconds.

    :ivar lease_ttl: a leader that is silent for so long is replaced.
    :ivar fresh_for: an input whose completion arrived live within so many seconds needs no look.
    :ivar look_timeout: bound of a look (a question about runs) at upstreams' environments.
    :ivar follow_after: a run that has reported nothing for so long is asked about; later pauses grow.
    :ivar follow_tasks_after: a task that others wait for is asked about again after so long; later pauses grow to four
        times as much.
    :ivar observe_every: an observed environment is asked so often while something happens there ...
    :ivar observe_idle: ... and so often while nothing does.
    :ivar blocked_retry: pause until a refused request is tried again.
    :ivar reexamine_every: everything is examined again after so long, whether or not anything has happened.
    :ivar missed_after: a completion so long before a watcher began to lead was missed (``catchup``).
    :ivar backoff_max: the longest pause between two attempts on an environment that does not answer.
    :ivar decision_log: where each decision is logged: a path, or ``-`` for standard output.
    """

    lease_ttl: int = Field(default=10, ge=2, le=int(bounds.REQUEST_SECONDS))
    fresh_for: float = Field(default=1.0, ge=0, le=bounds.SECONDS)
    look_timeout: RequestSeconds = 2.0
    follow_after: Seconds = 5.0
    follow_tasks_after: Seconds = 0.5
    observe_every: Seconds = 2.0
    observe_idle: Seconds = 30.0
    blocked_retry: Seconds = 60.0
    reexamine_every: Seconds = 300.0
    missed_after: Seconds = 60.0
    backoff_initial: Seconds = 0.5
    backoff_max: Seconds = 30.0
    decision_log: str | None = Field(default=None, min_length=1)


class RetentionSettings(Section):
    """Removal of old partitions. All durations are texts such as ``90 days``.

    :ivar max_age: a partition in which nothing has happened for so long is removed; ``None``: it is kept for ever.
    :ivar max_partitions: how many partitions of each pipeline are kept; ``None``: all.
    :ivar min_age: a partition in which something has happened within this time is never removed: a report may still
        come.
    :ivar give_up_after: a partition that only waits (for an input that does not come, or that nobody repairs) prevents
        no removal once nothing has happened for so long; ``None``: it waits for ever.
    :ivar every: the pause between two sweeps.
    :ivar acts: how long acts of people are kept.
    :ivar assets: as ``max_age``, of asset events and their deliveries.
    """

    max_age: str | None = None
    max_partitions: int | None = Field(default=None, ge=1)
    min_age: str = "1 day"
    give_up_after: str | None = None
    every: str = "1 hour"
    acts: str = "365 days"
    assets: str = "30 days"

    @field_validator("max_age", "min_age", "give_up_after", "every", "acts", "assets")
    @classmethod
    def _duration(cls, text: str | None) -> str | None:
        if text is not None:
            parse_duration(text)
        return text

    @field_validator("max_age", "give_up_after", "every", "assets")
    @classmethod
    def _not_nothing(cls, text: str | None) -> str | None:
        if text is not None and not parse_duration(text):
            raise ValueError(f"{text!r} is no positive duration; expected one such as '90 days'")
        return text

    @property
    def of_assets(self) -> Self:
        """The limits of asset events and deliveries."""
        return self.model_copy(update={"max_age": self.assets, "max_partitions": None})

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


class PublicationSettings(Section):
    """The limits of publishing dependencies.

    :ivar resume_within: a dependency that is put back within so long after it was taken out resumes: completions in
        between are new.
    :ivar resume_limit: putting dependencies back is refused if more partitions than this might start at once.
    """

    resume_within: str = "7 days"
    resume_limit: int = Field(default=RESUME_LIMIT, ge=0)

    @field_validator("resume_within")
    @classmethod
    def _duration(cls, text: str) -> str:
        parse_duration(text)
        return text

    @property
    def resumes_within(self) -> timedelta:
        """``resume_within``, read."""
        return parse_duration(self.resume_within)


class ReporterSettings(Section):
    """The listener inside Airflow: the environment that it reports for, and its outbox."""

    environment: EnvironmentName = DEFAULT_ENVIRONMENT
    outbox: Path | None = None


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


class Settings(BaseSettings):
    """Everything that can be configured."""

    # hide_input_in_errors: a credential that somebody wrote into the file is refused, and must not be in a traceback.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    etcd: EtcdSettings = Field(default_factory=EtcdSettings)
    environments: dict[EnvironmentName, EnvironmentSettings] = Field(default_factory=dict)
    watcher: WatcherSettings = Field(default_factory=WatcherSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    publication: PublicationSettings = Field(default_factory=PublicationSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    ui: UiSettings = Field(default_factory=UiSettings)
    reporter: ReporterSettings = Field(default_factory=ReporterSettings)
    compat: CompatSettings = Field(default_factory=CompatSettings)

    _file: str | None = PrivateAttr(default=None)

    @property
    def file(self) -> str | None:
        """The file that was read; ``None``: variables and defaults alone."""
        return self._file

    @property
    def without_environments(self) -> tuple[str, str] | None:
        """That no environment is configured, and what to do; ``None`` where one is."""
        if self.environments:
            return None
        if self._file is not None:
            return f"no environment is configured in {self._file}", "add [environments.default] to it"
        return (
            "no environment is configured, as no configuration was found",
            f"name it with --config or {CONFIG_VARIABLE}, or go to the directory of coordinator.toml",
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Variables take precedence over the file (which is passed as init values); nothing else is read."""
        return (Variables(settings_cls), init_settings)


def load_settings(path: str | Path | None = None) -> Settings:
    """Read the settings.

    :param path: the file; ``None``: the one in the variable ``COORDINATOR_CONFIG``, or else no file, only variables and
        defaults.
    :raises ConfigurationError: with file, place and reason.
    """
    chosen = path or os.environ.get(CONFIG_VARIABLE)
    document = _document(chosen) if chosen else {}
    try:
        settings = Settings(**document)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise ConfigurationError(*(_problem(chosen, one["loc"], one) for one in problems)) from error
    except SettingsError as error:
        if isinstance(error.__cause__, NotJson):
            raise ConfigurationError(str(error.__cause__)) from error
        raise ConfigurationError(f"environment variables: {error}: {error.__cause__}") from error
    settings._file = str(chosen) if chosen else None
    return settings


def _problem(file: str | Path | None, place: tuple[int | str, ...], found: ErrorDetails) -> str:
    """One problem: its place (in the file, or a variable that overrules it), the reason, and a suggestion."""
    variables = {name.upper(): name for name in os.environ}
    above = [PREFIX + "__".join(map(str, place[:depth])).upper() for depth in range(len(place), 0, -1)]
    variable = next((variables[name] for name in above if name in variables), None)
    where = f"{'environment variables' if variable is None else variable}: " if variable or not file else f"{file}: "
    match found["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(str(place[-1]), _names_beside(place), n=1)
            reason = "unknown setting" + (f"; did you mean {near[0]}?" if near else "")
        case "missing":
            reason = "is required"
        case "list_type":
            reason = f"expected {LIST if variable else 'a list'}"
        case "model_type" | "dict_type":
            reason = f"expected {SECTION if variable else 'a section'}"
        case _:
            reason = found["msg"].removeprefix("Value error, ")
    return f"{where}{'.'.join(map(str, place))}: {reason}"


def _names_beside(place: tuple[int | str, ...]) -> list[str]:
    """The known settings beside an unknown one."""
    section: Any = Settings
    for name in place[:-1]:
        if isinstance(section, type) and issubclass(section, BaseModel):
            section = section.model_fields[str(name)].annotation
        else:  # environments: a table of sections
            section = get_args(section)[1]
    return list(section.model_fields)


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
    except (OSError, ValueError) as error:  # not UTF-8, not TOML, a number of thousands of digits, a NUL in the path
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    # pydantic-settings treats names that begin with "_" as its own options, such as _cli_parse_args.
    for name in document:
        if name.startswith("_"):
            raise ConfigurationError(f"{file}: {name}: unknown section; known are {', '.join(Settings.model_fields)}")
    return document
