"""Makes the runner of an environment, of whatever kind it is."""

from __future__ import annotations

from coordinator.config.airflow import AirflowSettings
from coordinator.config.environments import EnvironmentSettings
from coordinator.config.kinds import runner_class
from coordinator.errors import ConfigurationError
from coordinator.runners.port import Runner


def make_runner(name: str, settings: EnvironmentSettings) -> Runner:
    """The runner of an environment; to be closed.

    :param name: the environment's name, for messages.
    :raises ConfigurationError: it cannot be made.
    """
    if isinstance(settings, AirflowSettings):
        from coordinator.runners.airflow import AirflowRunner

        return AirflowRunner(name, settings)
    try:
        runner: Runner = runner_class(settings.kind)(name, settings)
    except ValueError as error:
        raise ConfigurationError(f"environments.{name}.kind: {error}") from error
    return runner
