"""Building: the parts of a reconciler, and how they are connected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from coordinator.config.retention import RetentionSettings
from coordinator.config.watcher import WatcherSettings
from coordinator.controller.backoff import Backoff
from coordinator.controller.clock import Clock
from coordinator.controller.counters import Counters
from coordinator.controller.decision_log import DecisionLog
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.leading.catching_up import CatchingUp
from coordinator.controller.leading.term import Term
from coordinator.controller.measuring import Measuring
from coordinator.controller.pace import Pace
from coordinator.controller.queue.awaiting_start import AwaitingStart
from coordinator.controller.queue.postponed import Postponed
from coordinator.controller.queue.rechecks import Rechecks
from coordinator.controller.queue.work_queue import WorkQueue
from coordinator.controller.reconcile.asset_states import AssetStates
from coordinator.controller.reconcile.breakage import Breakage
from coordinator.controller.reconcile.environment_poller import EnvironmentPoller, Polling
from coordinator.controller.reconcile.event_handling import EventHandler
from coordinator.controller.reconcile.examiner import Examiner
from coordinator.controller.reconcile.lateness import Lateness
from coordinator.controller.reconcile.ledger import Ledger
from coordinator.controller.reconcile.observer import Observer
from coordinator.controller.reconcile.reconcile import Policy, Reconcile
from coordinator.controller.reconcile.review import Review
from coordinator.controller.reconcile.scheduling import Scheduling
from coordinator.controller.reconcile.task_observer import TaskObserver
from coordinator.controller.reconcile.timeouts import Timeouts
from coordinator.controller.reconcile.trigger_log import TriggerLog
from coordinator.controller.reconcile.upstream_checks import Checks
from coordinator.controller.reconcile.waits import WaitController
from coordinator.controller.reconcile.whole_states import WholeStates
from coordinator.controller.reconcile.writer import Writer
from coordinator.controller.retention.sweeper import Sweeper
from coordinator.controller.state.cache import Cache
from coordinator.controller.state.heartbeat import HeartbeatWriter
from coordinator.model.graph import Graph
from coordinator.model.propagation.propagation import Propagation
from coordinator.store.keys import Keys
from coordinator.store.leadership import Leadership
from coordinator.store.port import Store


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a watcher.

    :ivar who: its name, for records and reports.
    :ivar observed: the names of the environments in which nothing reports.
    :ivar retention: which old partitions to remove; ``None``: nothing is ever removed.
    :ivar decisions: the decision log; ``None``: there is none.
    :ivar may_begin: returns whether everything is prepared for a term, given the create revision of its leader key.
    :ivar pace: how much is handled and decided about in one step.
    """

    settings: WatcherSettings
    who: str
    observed: frozenset[str] = frozenset()
    retention: RetentionSettings | None = None
    decisions: DecisionLog | None = None
    may_begin: Callable[[int], bool] = field(default=lambda _: True)
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that the reconciler uses itself. :ivar sweeper: ``None``: nothing is ever removed."""

    counters: Counters
    queue: WorkQueue
    cache: Cache
    propagation: Propagation
    checks: Checks
    ledger: Ledger
    trigger_log: TriggerLog
    reconcile: Reconcile
    breakage: Breakage
    observer: Observer
    environment_poller: EnvironmentPoller
    asset_states: AssetStates
    sweeper: Sweeper | None
    rechecks: Rechecks
    lateness: Lateness
    timeouts: Timeouts
    events: EventHandler
    catching_up: CatchingUp
    heartbeat: HeartbeatWriter
    term: Term
    postponed: Postponed
    examiner: Examiner
    writer: Writer
    review: Review
    measuring: Measuring


def build(
    *,
    store: Store,
    keys: Keys,
    dispatchers: Dispatchers,
    leadership: Callable[[], Leadership | None],
    clock: Clock,
    options: Options,
) -> Parts:
    """Build the parts of a reconciler.

    :param leadership: the present leadership of this watcher, if it leads.
    """
    settings, who = options.settings, options.who
    counters = Counters()
    queue = WorkQueue()
    cache = Cache(keys, fresh_for=settings.fresh_for)
    propagation = Propagation(Graph(), cache, now=clock.now())
    checks = Checks(cache, propagation, dispatchers, queue, timeout=settings.look_timeout)
    ledger = Ledger(store, keys, cache, who=who)
    trigger_log = TriggerLog(counters, cache, clock, options.decisions)
    reconcile = Reconcile(
        propagation,
        cache,
        queue=queue,
        dispatchers=dispatchers,
        checks=checks,
        ledger=ledger,
        policy=Policy(
            who=who,
            clock=clock,
            backoff=Backoff(initial=settings.backoff_initial, longest=settings.backoff_max),
            blocked_retry=settings.blocked_retry,
            log=trigger_log,
        ),
    )
    breakage = Breakage(propagation, queue, reconcile, counters)
    tasks = TaskObserver(cache, ledger, every=settings.follow_tasks_after)
    observer = Observer(
        propagation,
        cache,
        checks=checks,
        ledger=ledger,
        tasks=tasks,
        waits=WaitController(
            propagation, cache, checks=checks, ledger=ledger, queue=queue, tasks=tasks, every=settings.follow_after
        ),
        every=settings.follow_after,
    )
    asset_states = AssetStates(propagation, cache, ledger)
    sweeper = None
    if options.retention is not None:
        sweeper = Sweeper(
            store=store, keys=keys, cache=cache, propagation=propagation, limits=options.retention, clock=clock
        )
    rechecks = Rechecks()
    awaiting_start = AwaitingStart(propagation)
    lateness = Lateness(counters, unsure=timedelta(seconds=2 * settings.lease_ttl))
    timeouts = Timeouts(
        propagation,
        cache,
        dispatchers=dispatchers,
        checks=checks,
        ledger=ledger,
        counters=counters,
        clock=clock,
    )
    scheduling = Scheduling(
        propagation,
        queue,
        waits=cache.waits,
        reconcile=reconcile,
        dispatchers=dispatchers,
        lateness=lateness,
        readers=(rechecks, breakage, awaiting_start, timeouts),
    )
    catching_up = CatchingUp(propagation, options.pace)
    heartbeat = HeartbeatWriter(store, keys, missed_after=settings.missed_after)
    term = Term(
        leadership=leadership,
        may_begin=options.may_begin,
        cache=cache,
        propagation=propagation,
        catching_up=catching_up,
        heartbeat=heartbeat,
        missed_after=settings.missed_after,
    )
    postponed = Postponed(propagation, queue)
    return Parts(
        counters=counters,
        queue=queue,
        cache=cache,
        propagation=propagation,
        checks=checks,
        ledger=ledger,
        trigger_log=trigger_log,
        reconcile=reconcile,
        breakage=breakage,
        observer=observer,
        environment_poller=EnvironmentPoller(
            cache,
            store=store,
            keys=keys,
            dispatchers=dispatchers,
            ledger=ledger,
            polling=Polling(options.observed, settings.observe_every, settings.observe_idle),
        ),
        asset_states=asset_states,
        sweeper=sweeper,
        rechecks=rechecks,
        lateness=lateness,
        timeouts=timeouts,
        events=EventHandler(
            cache,
            propagation,
            queue=queue,
            scheduling=scheduling,
            readers=(asset_states, sweeper) if sweeper is not None else (asset_states,),
            counters=counters,
            pace=options.pace,
        ),
        catching_up=catching_up,
        heartbeat=heartbeat,
        term=term,
        postponed=postponed,
        examiner=Examiner(
            propagation,
            cache,
            reconcile=reconcile,
            observer=observer,
            postponed=postponed,
            catching_up=catching_up,
            breakage=breakage,
            whole_states=WholeStates(ledger, clock),
        ),
        writer=Writer(
            ledger,
            term,
            reconcile=reconcile,
            checks=checks,
            queue=queue,
            catching_up=catching_up,
            breakage=breakage,
        ),
        review=Review(cache, propagation),
        measuring=Measuring(
            cache,
            propagation,
            queue=queue,
            awaiting_start=awaiting_start,
            dispatchers=dispatchers,
            lateness=lateness,
            clock=clock,
        ),
    )
