"""The checks of ``doctor`` about reporters: silent environments, and misnamed reporters.

A misnamed reporter has the environment name of another Airflow, which does not know the runs that it reports. Nothing
else would show this: its runs arrive as those of another environment, and downstream pipelines do not start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

from coordinator.cli.finding import Finding, Grade
from coordinator.config.airflow import AirflowSettings
from coordinator.config.environments import EnvironmentSettings
from coordinator.config.settings import Settings
from coordinator.controller.leading.misnamed_reporters import misnamed_reporters_among
from coordinator.controller.state.reporters import Listening, Reporters
from coordinator.errors import CoordinatorError
from coordinator.model.reporters import Heard, Hearing, ReporterStatus
from coordinator.runners.making import make_runner
from coordinator.store.keys import Keys, ReporterKey, ReporterSeenKey
from coordinator.store.port import Store, StoreError
from coordinator.store.presence import read_presence


def examine_reporters(settings: Settings, store: Store, keys: Keys, named: Collection[str]) -> Iterator[Finding]:
    """Compare the reporters in etcd with those that are expected.

    :param named: the environments that the dependencies name.
    """
    now = datetime.now(UTC)
    try:
        reporters = _read(store, keys)
        leader = store.get(keys.leader)
    except StoreError as error:
        yield Finding(
            Grade.WARNING, "reporters", f"cannot be read: {error}", "give this user a role: coordinator secure"
        )
        return
    listening = Listening(reporters, settings.environments, named)
    if not settings.environments:
        return  # that is told, and who should be heard is not known
    since = read_presence(leader.value).began if leader is not None else None
    heard = listening.heard(now=now, reachable_since=since)
    problems = listening.problems(heard, now=now)
    for one in heard:
        subject = f"reporters {one.environment}"
        misnamed_reporters = list(_misnamed_reporters(one, settings.environments, now=now))
        if subject in problems:
            yield Finding(
                Grade.PROBLEM,
                subject,
                problems[subject],
                "follow 'When run states do not arrive' in docs/airflow-plugin.md",
            )
        yield from misnamed_reporters
        if subject not in problems and not misnamed_reporters and one.hearing is Hearing.HEARD:
            yield Finding(Grade.OK, subject, "; ".join(map(_in_words, one.readable.values())))
    for one in listening.unexpected(heard):
        yield Finding(
            Grade.WARNING,
            f"reporters {one.environment}",
            "they report under a name that is neither configured nor in dependencies.json",
            "correct COORDINATOR_REPORTER__ENVIRONMENT there, or configure that environment here",
        )
    if not_shown := listening.unknown_not_shown():
        yield Finding(
            Grade.WARNING,
            "reporters",
            f"{not_shown:,} more environments report that are neither configured nor in dependencies.json",
            f"look at the keys under {keys.every('reporter')}",
        )


def _read(store: Store, keys: Keys) -> Reporters:
    reporters = Reporters()
    for kind in ("reporter", "reporter_seen"):
        for item in (item for page in store.pages(keys.every(kind)) for item in page.items):
            match keys.parse(item.key):
                case ReporterKey(environment, name):
                    reporters.put(environment, name, item.value)
                case ReporterSeenKey(environment):
                    reporters.put_last_seen(environment, item.value)
    return reporters


def _misnamed_reporters(
    heard: Heard, environments: Mapping[str, EnvironmentSettings], *, now: datetime
) -> Iterator[Finding]:
    """Findings about reporters whose last runs are all unknown to the Airflow of their environment."""
    name = heard.environment
    settings = environments.get(name)
    if not isinstance(settings, AirflowSettings):
        return
    try:
        runner = make_runner(name, settings)
        try:
            found = misnamed_reporters_among(heard, runner, timeout=settings.request_timeout, now=now)
        finally:
            runner.close()
    except CoordinatorError:
        return  # the finding about the environment itself says why
    for misnamed_reporter in found:
        yield Finding(
            Grade.PROBLEM,
            f"reporters {name}",
            f"{_in_words(misnamed_reporter.reporter)}: the Airflow at {settings.url} does not know what it reports: "
            f"{misnamed_reporter.named}",
            f"another Airflow calls itself {name}: correct its COORDINATOR_REPORTER__ENVIRONMENT, or "
            f"environments.{name}.url (runs that somebody has deleted look the same)",
        )


def _in_words(one: ReporterStatus) -> str:
    airflow = " ".join(filter(None, ("Airflow", one.airflow_version, one.airflow_url)))
    last = one.recent[0] if one.recent else None
    told = f"last report {last.at:%Y-%m-%dT%H:%M:%SZ}" if last is not None else "no report since it started"
    return f"{one.host}, {airflow}, plugin {one.version}, {told}"
