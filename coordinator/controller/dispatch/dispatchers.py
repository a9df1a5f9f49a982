"""The dispatchers of all environments, as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from coordinator.config.watcher import WatcherSettings
from coordinator.controller.backoff import Backoff
from coordinator.controller.dispatch.admission import pipeline_limits
from coordinator.controller.dispatch.dispatcher import Dispatcher, EnvironmentLimits
from coordinator.controller.dispatch.jobs import Executor, Guard
from coordinator.controller.measures import EnvironmentMeasures
from coordinator.controller.queue.work_queue import Priority
from coordinator.controller.state.cache import Cache
from coordinator.model.decide import Decision
from coordinator.model.graph import Graph
from coordinator.model.references import Target
from coordinator.model.view import readable_record
from coordinator.runners.port import Runner
from coordinator.runners.rows import NO_FILES, Files, WithRows


class Dispatchers:
    """Calls the dispatcher concerned, or all of them. Used by the deciding thread only."""

    def __init__(self, by_environment: Mapping[str, Dispatcher]) -> None:
        self._by_environment = by_environment

    @classmethod
    def make(
        cls,
        runners: Mapping[str, Runner],
        limits: Mapping[str, EnvironmentLimits],
        *,
        settings: WatcherSettings,
        executor: Executor,
        guard: Guard,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        files: Files = NO_FILES,
    ) -> Dispatchers:
        """One for each environment.

        :param runners: the environments by name. :param limits: of each of them.
        :param files: where the rows are over which pipelines fan out.
        """
        backoff = Backoff(initial=settings.backoff_initial, longest=settings.backoff_max)
        return cls(
            {
                name: Dispatcher(
                    name,
                    WithRows(runner, files, now=now),
                    limits=limits[name],
                    executor=executor,
                    backoff=backoff,
                    guard=guard,
                    now=now,
                )
                for name, runner in runners.items()
            }
        )

    def of(self, target: Target) -> Dispatcher | None:
        """The dispatcher of a target's environment; ``None``: it is not configured."""
        return self._by_environment.get(target.pipeline.environment)

    def names(self) -> list[str]:
        """The configured environments."""
        return sorted(self._by_environment)

    def get(self, environment: str) -> Dispatcher | None:
        return self._by_environment.get(environment)

    def all(self) -> Iterable[Dispatcher]:
        return self._by_environment.values()

    def note(self, decision: Decision, *, waits_inside: bool = False) -> None:
        """Note whether a target is in flight. :param waits_inside: a sensor in its run waits."""
        if (dispatcher := self.of(decision.target)) is not None:
            dispatcher.admission.note(decision, waits_inside=waits_inside)

    def knows(self, target: Target) -> bool:
        """Whether it waits for its turn, or has it and no intent yet."""
        dispatcher = self.of(target)
        return dispatcher is not None and dispatcher.admission.knows(target)

    def leave(self, target: Target) -> None:
        """It is not to start now: it gives up its place."""
        if (dispatcher := self.of(target)) is not None:
            dispatcher.admission.leave(target)

    def use(self, graph: Graph) -> list[Target]:
        """Use the limits of another graph. :returns: targets that lost their place and must be examined again."""
        return [
            target
            for name, dispatcher in self._by_environment.items()
            for target in dispatcher.admission.set_limits(pipeline_limits(graph, name))
        ]

    def admit(self, now: float) -> list[tuple[Target, Priority]]:
        """The targets whose turn it is now, each with its priority."""
        return [admitted for dispatcher in self.all() for admitted in dispatcher.admit(now)]

    def pump(self, now: float, *, known_revision: int) -> list[tuple[Target, str]]:
        """Send what may go out now.

        :param now: monotonic seconds.
        :param known_revision: the latest of etcd that is known.
        :returns: the requests, by target and token, that were too old to be sent.
        """
        stale: list[tuple[Target, str]] = []
        for dispatcher in self.all():
            dispatcher.known_revision = known_revision
            stale += dispatcher.pump(now)
        return stale

    def begin_term(self, term: int | None, cache: Cache, *, now: float, at: datetime) -> None:
        """A term has begun, or ended (``None``).

        :param now: monotonic seconds. :param at: the time of day.
        """
        for dispatcher in self.all():
            dispatcher.forget()
            dispatcher.term = term
        if term is not None and any(dispatcher.admission.has_rate for dispatcher in self.all()):
            ages = ages_of_starts(cache, at)
            for name, dispatcher in self._by_environment.items():
                dispatcher.admission.recall(ages.get(name, ()), now)

    def forget(self) -> None:
        """Nothing more is to go out."""
        for dispatcher in self.all():
            dispatcher.forget()

    def next_at(self) -> float | None:
        """Monotonic seconds at which the passing of time lets something out."""
        times = (dispatcher.next_at() for dispatcher in self.all())
        return min((at for at in times if at is not None), default=None)

    def measures(self) -> dict[str, EnvironmentMeasures]:
        """By environment. Any thread may ask."""
        return {name: dispatcher.measures() for name, dispatcher in self._by_environment.items()}

    def is_idle(self) -> bool:
        return all(dispatcher.is_idle() for dispatcher in self.all())

    def is_busy(self) -> bool:
        """Whether a request or a question is under way."""
        return any(dispatcher.is_busy() for dispatcher in self.all())


def ages_of_starts(cache: Cache, now: datetime) -> dict[str, list[float]]:
    """Seconds since the last starts, by environment: a successor continues the minute of its predecessor."""
    ages: dict[str, list[float]] = {}
    for target in cache.targets():
        record = readable_record(cache.record(target))
        if record is not None and record.when is not None and not record.skipped:
            ages.setdefault(target.pipeline.environment, []).append((now - record.when).total_seconds())
    return ages
