"""Settings: ``coordinator.toml`` and environment variables (docs/architecture.md#interfaces), read into checked values.

Every value can also be given by an environment variable: ``COORDINATOR_`` and the path with ``__`` between,
for example ``COORDINATOR_ETCD__ENDPOINTS='["10.0.0.1:2379"]'``. A variable takes precedence over the file. Neither
contains credentials: settings name a variable, a file or a command that provides them.
"""

from __future__ import annotations

from pydantic import Field, PrivateAttr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from coordinator.config import CONFIG_VARIABLE
from coordinator.config.airflow import AirflowSettings
from coordinator.config.compat import CompatSettings
from coordinator.config.environments import EnvironmentName
from coordinator.config.etcd import EtcdSettings
from coordinator.config.http import HttpSettings
from coordinator.config.items import RowFiles, SourceName
from coordinator.config.kinds import AnyEnvironment
from coordinator.config.publication import PublicationSettings
from coordinator.config.reporter import ReporterSettings
from coordinator.config.retention import RetentionSettings
from coordinator.config.ui import UiSettings
from coordinator.config.variables import PREFIX, Variables
from coordinator.config.watcher import WatcherSettings


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
    environments: dict[EnvironmentName, AnyEnvironment] = Field(default_factory=dict)
    watcher: WatcherSettings = Field(default_factory=WatcherSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    publication: PublicationSettings = Field(default_factory=PublicationSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    ui: UiSettings = Field(default_factory=UiSettings)
    reporter: ReporterSettings = Field(default_factory=ReporterSettings)
    items: dict[SourceName, RowFiles] = Field(default_factory=dict)
    compat: CompatSettings = Field(default_factory=CompatSettings)

    _file: str | None = PrivateAttr(default=None)

    @property
    def airflows(self) -> dict[str, AirflowSettings]:
        """The environments that are Airflow deployments."""
        return {name: one for name, one in self.environments.items() if isinstance(one, AirflowSettings)}

    @property
    def file(self) -> str | None:
        """The file that was read; ``None``: variables and defaults alone."""
        return self._file

    def remember_file(self, file: str) -> None:
        """Set the file that was read."""
        self._file = file

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
