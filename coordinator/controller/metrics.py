"""The metrics of a watcher, for Prometheus: docs/metrics.md says what each means.

They are read from the watcher's state when somebody asks. No label has a partition or a run, and none an environment
that is not configured: documents may name any number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from coordinator.controller.clock import Clock
from coordinator.controller.measures import EnvironmentMeasures, Measures
from coordinator.controller.service import Watcher
from coordinator.controller.state.reporters import HeardInNumbers
from coordinator.model.reporters import Hearing
from coordinator.version import __version__

_COUNTERS = {
    "events": "Changes of run states that were read.",
    "decisions": "Decisions made because something had changed.",
    "late": "Partitions that became late while this watcher led.",
    "stopped": "Runs that were stopped because they took longer than their timeout.",
    "expired": "States ignored because retention had removed their partition.",
    "broken": "Targets about which nothing can be decided, by a mistake in the coordinator.",
    "miscounted": "Wide conditions that were counted wrongly and decided about again, by a mistake in the coordinator.",
}


class WatcherMetrics(Collector):
    """A collector of prometheus_client. Asked from any thread."""

    def __init__(self, watcher: Watcher, clock: Clock) -> None:
        self._watcher = watcher
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        measures = self._watcher.reconciler.measures()
        yield from self._of_the_watcher()
        yield from _of_its_work(measures)
        yield from self._counted(measures.environments.keys())
        yield from _of_environments(measures.environments)
        yield from _of_reporters(self._watcher.heard(), self._clock.now())

    def _of_the_watcher(self) -> Iterator[Metric]:
        health = self._watcher.health()
        yield _gauge("build_info", "Always 1; the version is its label.", {__version__: 1}, "version")
        yield _gauge("leader", "Whether this watcher leads.", health.leads)
        yield _gauge("connected", "Whether everything in etcd has been read and the watch is alive.", health.connected)
        yield _gauge("idle", "Whether nothing waits to be decided, written, asked or sent.", health.idle)
        yield _gauge("revision", "The etcd revision up to which this watcher has read.", health.revision)
        yield _gauge("problems", "What is wrong, by kind.", health.problems_by_kind, "kind")
        waiting = self._watcher.changes_waiting
        yield _gauge("changes_waiting", "Changes that were read from etcd and are not taken in yet.", waiting)

    def _counted(self, configured: Set[str]) -> Iterator[Metric]:
        counters = self._watcher.reconciler.counters
        counts = counters.snapshot()
        for name, what in _COUNTERS.items():
            yield CounterMetricFamily(f"coordinator_{name}", what, value=counts[name])
        skipped = CounterMetricFamily("coordinator_skipped", "Partitions that were given up.", labels=["reason"])
        skipped.add_metric(["late"], counts["skipped_late"])
        skipped.add_metric(["missed"], counts["skipped_catching_up"])
        yield skipped
        triggers = CounterMetricFamily(
            "coordinator_triggers", "What became of triggers.", labels=["environment", "outcome"]
        )
        became: Counter[tuple[str, str]] = Counter()
        for (environment, outcome), count in dict(counters.triggers).items():
            became[environment if environment in configured else "", outcome] += count
        for labels, count in became.items():
            triggers.add_metric(labels, count)
        yield triggers
        for metric in counters.trigger_seconds.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


def _of_its_work(found: Measures) -> Iterator[Metric]:
    yield _gauge("queue_depth", "Entries of the work queue.", found.queue, "entries")
    yield _gauge("queue_age_seconds", "Seconds since the work queue was last empty.", found.queue_age)
    yield _gauge("partitions", "Partitions that are not settled.", found.unsettled, "readiness")
    yield _gauge("blocked_partitions", "Partitions whose environment refuses their request.", found.blocked)
    yield _gauge("late_partitions", "Partitions that are late and not started.", found.late)
    yield _gauge("held_pipelines", "Pipelines that a person holds.", found.held)
    yield _gauge("sensors", "Sensors inside runs, by what has become of their wait.", found.sensors, "status")
    yield _gauge(
        "sensor_wait_seconds", "Seconds for which the sensor that waits longest has waited.", found.longest_wait
    )
    what = "Seconds since the moment up to which the runs of an observed environment are known."
    yield _gauge("observed_age_seconds", what, found.unobserved, "environment")
    yield _gauge("publication_version", "The version of a published document.", found.publications, "owner")


def _of_environments(found: Mapping[str, EnvironmentMeasures]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "coordinator_requests", "What came of requests.", labels=["environment", "kind", "outcome"]
    )
    waiting, in_flight, unanswered = {}, {}, {}
    for name, one in found.items():
        waiting[name], in_flight[name], unanswered[name] = one.waiting, one.in_flight, one.failures
        for labels, count in one.answers.items():
            requests.add_metric([name, *labels], count)
    yield requests
    yield _gauge("requests_waiting", "Starts and requests that wait for their turn.", waiting, "environment")
    yield _gauge("requests_in_flight", "Requests on their way.", in_flight, "environment")
    yield _gauge("requests_unanswered", "Requests in a row without an answer.", unanswered, "environment")


def _of_reporters(heard: HeardInNumbers, now: datetime) -> Iterator[Metric]:
    by_environment = {one.environment: one for one in heard.configured}
    readable = {name: one.readable.values() for name, one in by_environment.items()}
    written = {name: max((one.written_at for one in reporters), default=None) for name, reporters in readable.items()}

    def gauge(name: str, what: str, values: Mapping[str, float]) -> Metric:
        return _gauge(name, what, values, "environment")

    yield gauge("reporters", "Reporters in this environment.", {name: len(of) for name, of in readable.items()})
    yield gauge(
        "reporters_silent",
        "Whether an environment was heard from, and is no more.",
        {name: one.hearing is Hearing.SILENT for name, one in by_environment.items()},
    )
    yield gauge(
        "reporter_age_seconds",
        "Seconds since a reporter of this environment last wrote its key.",
        {name: (now - at).total_seconds() for name, at in written.items() if at is not None},
    )
    yield gauge(
        "reporter_backlog_events",
        "Events in outboxes that are not delivered yet.",
        {name: sum(one.backlog for one in of) for name, of in readable.items()},
    )
    yield gauge(
        "reporter_parked_events",
        "Events that could not be delivered and are set aside.",
        {name: sum(one.parked for one in of) for name, of in readable.items()},
    )
    yield _gauge("other_environments", "Environments that are not configured, but named or reporting.", heard.others)
    what = "Those of them that documents name, that were heard from, and are no more."
    yield _gauge("other_environments_silent", what, heard.others_silent)


def _gauge(name: str, what: str, value: float | Mapping[str, float], label: str | None = None) -> Metric:
    found = GaugeMetricFamily(f"coordinator_{name}", what, labels=[label] if label is not None else [])
    for key, each in value.items() if isinstance(value, Mapping) else [("", value)]:
        found.add_metric([key] if label is not None else [], float(each))
    return found
