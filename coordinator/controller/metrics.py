"""The metrics of a watcher, for Prometheus: docs/metrics.md says what each means.

They are read from the watcher's state when somebody asks. No label has a partition or a run, and none an environment
that is not configured: documents may name any number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from coordinator.controller.clock import Clock
from coordinator.controller.measures import EnvironmentMeasures, Measures
from coordinator.controller.metric_families import add_timings, gauge, histogram, of_etcd
from coordinator.controller.service import Watcher
from coordinator.controller.state.reporters import HeardInNumbers
from coordinator.model.reporters import Hearing
from coordinator.store.etcd_requests import EtcdRequests
from coordinator.version import __version__

_COUNTERS = {
    "events": "Changes of run states that were read.",
    "late": "Partitions that became late while this watcher led.",
    "stopped": "Runs that were stopped because they took longer than their timeout.",
    "expired": "States ignored because retention had removed their partition.",
    "broken": "Targets about which nothing can be decided, by a mistake in the coordinator.",
    "miscounted": "Wide conditions that were counted wrongly and decided about again, by a mistake in the coordinator.",
}


class WatcherMetrics(Collector):
    """A collector of prometheus_client. Asked from any thread.

    :param etcd: what the watcher's client of etcd has asked.
    """

    def __init__(self, watcher: Watcher, clock: Clock, etcd: EtcdRequests | None = None) -> None:
        self._watcher = watcher
        self._clock = clock
        self._etcd = etcd

    def collect(self) -> Iterator[Metric]:
        measures = self._watcher.reconciler.measures()
        yield from self._of_the_watcher()
        yield from _of_its_work(measures)
        yield from self._counted(measures.environments.keys())
        yield from _of_environments(measures.environments)
        yield from _of_reporters(self._watcher.heard(), self._clock.now())
        if self._etcd is not None:
            lag = max(0, self._etcd.revision - self._watcher.reconciler.cache.revision)
            yield gauge("watch_lag_revisions", "Etcd revisions that this watcher has not read yet.", lag)
            yield of_etcd(self._etcd)

    def _of_the_watcher(self) -> Iterator[Metric]:
        health = self._watcher.health()
        yield gauge("build_info", "Always 1; the version is its label.", {__version__: 1}, "version")
        kinds = dict.fromkeys(self._watcher.kinds.items(), 1)
        yield gauge("environment_info", "Always 1; what runs there is its label.", kinds, "environment", "kind")
        yield gauge("leader", "Whether this watcher leads.", health.leads)
        yield gauge("connected", "Whether everything in etcd has been read and the watch is alive.", health.connected)
        yield gauge("idle", "Whether nothing waits to be decided, written, asked or sent.", health.idle)
        yield gauge("revision", "The etcd revision up to which this watcher has read.", health.revision)
        yield gauge("problems", "What is wrong, by kind.", health.problems_by_kind, "kind")
        waiting = self._watcher.changes_waiting
        yield gauge("changes_waiting", "Changes that were read from etcd and are not taken in yet.", waiting)

    def _counted(self, configured: Set[str]) -> Iterator[Metric]:
        counters = self._watcher.reconciler.counters
        counts = counters.snapshot()
        for name, what in _COUNTERS.items():
            yield CounterMetricFamily(f"coordinator_{name}", what, value=counts[name])
        decisions = CounterMetricFamily(
            "coordinator_decisions", "Decisions made because something had changed.", labels=["outcome"]
        )
        for outcome, count in dict(counters.decisions).items():
            decisions.add_metric([outcome], count)
        yield decisions
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
    yield gauge("queue_depth", "Entries of the work queue.", found.queue, "entries")
    yield gauge("queue_age_seconds", "Seconds since the work queue was last empty.", found.queue_age)
    yield gauge("partitions", "Partitions that are not settled.", found.unsettled, "environment", "readiness")
    yield gauge("due_partitions", "Partitions that are due and not started.", found.due, "environment")
    yield gauge("oldest_due_seconds", "Seconds since the oldest of them is due.", found.oldest_due, "environment")
    blocked = "Partitions whose environment refuses their request."
    yield gauge("blocked_partitions", blocked, found.blocked, "environment")
    yield gauge("late_partitions", "Partitions that are late and not started.", found.late, "environment")
    yield gauge("held_pipelines", "Pipelines that a person holds.", found.held)
    yield gauge("sensors", "Sensors inside runs, by what has become of their wait.", found.sensors, "status")
    yield gauge(
        "sensor_wait_seconds", "Seconds for which the sensor that waits longest has waited.", found.longest_wait
    )
    what = "Seconds since the moment up to which the runs of an observed environment are known."
    yield gauge("observed_age_seconds", what, found.unobserved, "environment")
    differing = "Owners for whose document the watchers have different files."
    yield gauge("differing_files", differing, found.differing_files)
    yield gauge("publication_version", "The version of a published document.", found.publications, "owner")


def _of_environments(found: Mapping[str, EnvironmentMeasures]) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "coordinator_requests", "What came of requests.", labels=["environment", "kind", "outcome"]
    )
    seconds = histogram("request_seconds", "How long requests took that went out.", "environment", "kind")
    waiting, in_flight, unanswered = {}, {}, {}
    for name, one in found.items():
        waiting[name], in_flight[name], unanswered[name] = one.waiting, one.in_flight, one.failures
        for labels, count in one.answers.items():
            requests.add_metric([name, *labels], count)
        add_timings(seconds, one.seconds, name)
    yield requests
    yield seconds
    yield gauge("requests_waiting", "Starts and requests that wait for their turn.", waiting, "environment")
    yield gauge("requests_in_flight", "Requests on their way.", in_flight, "environment")
    yield gauge("requests_unanswered", "Requests in a row without an answer.", unanswered, "environment")


def _of_reporters(heard: HeardInNumbers, now: datetime) -> Iterator[Metric]:
    by_environment = {one.environment: one for one in heard.configured}
    readable = {name: list(one.readable.values()) for name, one in by_environment.items()}
    written = {name: max((one.written_at for one in reporters), default=None) for name, reporters in readable.items()}

    def of_each(name: str, what: str, values: Mapping[str, float]) -> Metric:
        return gauge(name, what, values, "environment")

    yield of_each("reporters", "Reporters in this environment.", {name: len(of) for name, of in readable.items()})
    yield of_each(
        "reporters_silent",
        "Whether an environment was heard from, and is no more.",
        {name: one.hearing is Hearing.SILENT for name, one in by_environment.items()},
    )
    yield of_each(
        "reporter_age_seconds",
        "Seconds since a reporter of this environment last wrote its key.",
        {name: (now - at).total_seconds() for name, at in written.items() if at is not None},
    )
    yield of_each(
        "reporter_backlog_events",
        "Events in outboxes that are not delivered yet.",
        {name: sum(one.backlog for one in of) for name, of in readable.items()},
    )
    oldest = {name: [one.oldest for one in of if one.oldest is not None] for name, of in readable.items()}
    yield of_each(
        "reporter_oldest_event_seconds",
        "Seconds for which the oldest event that is not delivered has waited.",
        {name: max(0.0, (now - min(at, default=now)).total_seconds()) for name, at in oldest.items()},
    )
    last = {name: max((run.at for one in of for run in one.recent), default=None) for name, of in readable.items()}
    yield of_each(
        "reporter_last_event_seconds",
        "Seconds since the newest run state was observed that was delivered.",
        {name: (now - at).total_seconds() for name, at in last.items() if at is not None},
    )
    yield of_each(
        "reporter_parked_events",
        "Events that could not be delivered and are set aside.",
        {name: sum(one.parked for one in of) for name, of in readable.items()},
    )
    yield gauge("other_environments", "Environments that are not configured, but named or reporting.", heard.others)
    what = "Those of them that documents name, that were heard from, and are no more."
    yield gauge("other_environments_silent", what, heard.others_silent)
