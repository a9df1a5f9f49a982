"""The checks of ``doctor`` about what is followed in etcd: observed environments, and sensors that wait."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from coordinator.cli.finding import Finding, Grade
from coordinator.cli.observed_output import known_in_words
from coordinator.config.settings import Settings
from coordinator.model.cursor import read_cursor
from coordinator.model.phrases import some_of
from coordinator.model.references import PipelineRef
from coordinator.model.stored import Unreadable
from coordinator.model.waits import Wait, WaitStatus, read_wait
from coordinator.reading.status_json import observed_in
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import StoreError

NAMED = 10
"""So many names stand in a finding."""


def examine_observed(store: EtcdStore, keys: Keys, settings: Settings) -> Iterator[Finding]:
    """Up to when the runs of observed environments are known."""
    now = datetime.now(UTC)
    for name in observed_in(settings.environments):
        try:
            found = store.get(keys.cursor(name))
        except StoreError:
            return  # the finding about the leader's key says so already
        cursor = read_cursor(found.value) if found is not None else None
        if isinstance(cursor, Unreadable):
            remedy = f"delete the key; what has happened since is not told then: etcdctl del {keys.cursor(name)}"
            yield Finding(Grade.PROBLEM, f"runs of {name}", f"its cursor cannot be read: {cursor.reason}", remedy)
        else:
            yield Finding(Grade.OK, f"runs of {name}", known_in_words(cursor, now))


def examine_sensors(
    store: EtcdStore, keys: Keys, settings: Settings, waited_for: set[PipelineRef]
) -> Iterator[Finding]:
    """Findings about environments that waiting sensors name. :param waited_for: filled with what they wait for."""
    try:
        waits = [read_wait(item.value) for page in store.pages(keys.every("wait")) for item in page.items]
        waited_for |= {
            one.upstream.pipeline for one in waits if isinstance(one, Wait) and one.status is WaitStatus.WAITING
        }
        unconfigured = {one.environment for one in waited_for} - set(settings.environments)
        unknown = [one for one in unconfigured if not any(page.items for page in store.pages(keys.every("state", one)))]
    except StoreError:
        return  # the finding about the leader's key says so already
    for name in sorted(unknown) if settings.environments else ():
        named = sorted({str(one) for one in waited_for if one.environment == name})
        found = f"not configured, nothing is reported under that name, and sensors wait for {some_of(named, NAMED)}"
        remedy = f"correct the sensors, then clear their tasks; or add [environments.{name}]: coordinator waits"
        yield Finding(Grade.PROBLEM, f"environment {name}", found, remedy)
