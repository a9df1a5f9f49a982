"""Behaviour broken on purpose, as patches: a simulation that does not notice these notices nothing.

python -m tests.simulation.mutations [NAME...]        the table: how many seeds it takes to catch each
"""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
import structlog
from msgspec import structs

from coordinator.commands.proposal import Proposal, Publications
from coordinator.controller import writes
from coordinator.controller.dispatch.admission import Admission, pipeline_limits
from coordinator.controller.dispatch.dispatcher import Dispatcher
from coordinator.controller.dispatch.dispatchers import Dispatchers
from coordinator.controller.dispatch.jobs import Effect, EffectDone
from coordinator.controller.leading import catching_up
from coordinator.controller.queue.work_queue import Priority
from coordinator.controller.reconcile import asset_states, environment_poller, records
from coordinator.controller.reconcile.asset_states import AssetStates
from coordinator.controller.reconcile.environment_poller import EnvironmentPoller
from coordinator.controller.reconcile.following import Following
from coordinator.controller.reconcile.reconcile import Reconcile
from coordinator.controller.reconcile.request_state import InFlight, Pause
from coordinator.controller.reconcile.task_observer import TaskObserver
from coordinator.controller.reconcile.upstream_checks import Checks
from coordinator.controller.reconcile.waits import WaitController
from coordinator.controller.retention import removal
from coordinator.controller.state.arrivals import Arrivals
from coordinator.controller.state.cache import Cache
from coordinator.controller.state.produced import Produced
from coordinator.controller.state.waits import Waits
from coordinator.controller.writes import Write
from coordinator.model import consumption, decide, lifecycle, tasks, taskstate, waiting
from coordinator.model import evaluation as evaluation
from coordinator.model.assets import completions
from coordinator.model.assets.names import EVENTS
from coordinator.model.conditions import On
from coordinator.model.consumption import Fingerprint
from coordinator.model.decide import Decision, Obstacle
from coordinator.model.dependencies import Settle
from coordinator.model.graph import Graph, Node
from coordinator.model.partitions import Assets as PartitionsOfAssets
from coordinator.model.partitions import Rollup
from coordinator.model.propagation import propagation as propagation
from coordinator.model.propagation import tally
from coordinator.model.propagation.propagation import BEFORE_ALL
from coordinator.model.publishing import edition, resuming
from coordinator.model.publishing.edition import Edition, Ruling
from coordinator.model.publishing.publication import Publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, Verdict, evaluate_report
from coordinator.model.taskstate import TaskState
from coordinator.model.trigger import Status, TriggerRecord
from coordinator.model.view import Readiness, SeenState
from coordinator.model.waits import Completion, Wait
from coordinator.runners.airflow import changes
from coordinator.runners.port import Delivered, Foreign, Happened, NotHappened, ObservedRun, Outcome, StartRequest
from coordinator.store.leadership import HeldLease
from coordinator.store.port import CreateRevisionIs, Transaction
from coordinator.store.reflector import Reflector
from tests.simulation.arms import draw_arms
from tests.simulation.drawing import EVERYTHING, Profile, draw
from tests.simulation.plan import Plan
from tests.simulation.playing import play

Mutation = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Caught:
    """:ivar seeds: how many were played until a promise was broken; ``None``: none was."""

    mutation: str
    seeds: int | None
    promise: str = ""


def hunt(name: str, *, limit: int, first: int = 0) -> Caught:
    """Play seeds with a mutation until a promise is broken. :param limit: so many at most."""
    mutation, drawn = MUTATIONS[name]
    with mutation():
        for number in range(limit):
            seed = first + number
            broken = play(draw(seed, drawn) if isinstance(drawn, Profile) else drawn(seed)).broken
            if broken is not None and broken.promise == "nothing raises":
                raise broken  # the patch does not fit what it breaks any more
            if broken is not None:
                return Caught(name, number + 1, str(broken))
    return Caught(name, None)


def main() -> int:
    """The table of all mutations, or of those that are named. Returns 1 if one of them was not noticed."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    escaped = 0
    for name in sys.argv[1:] or MUTATIONS:
        began = time.monotonic()
        caught = hunt(name, limit=500)
        escaped += caught.seeds is None
        took = f"{time.monotonic() - began:5.1f} s"
        print(f"{name:<45} {caught.seeds or 'escaped':>8}  {took}  {caught.promise[:110]}", flush=True)
    return 1 if escaped else 0


# -- the rule ----------------------------------------------------------------------------------------------------------


def _node_changed(change: Callable[[Node], Node]) -> AbstractContextManager[Any]:
    real = Graph.node

    def node(self: Graph, pipeline: PipelineRef) -> Node | None:
        found = real(self, pipeline)
        return None if found is None else change(found)

    return patch.object(Graph, "node", node)


@pytest.mark.promise("once")
def settle_direct_everywhere() -> AbstractContextManager[Any]:
    return _node_changed(lambda node: replace(node, downstream=replace(node.downstream, settle=Settle.DIRECT)))


@pytest.mark.promise("not-for-the-past")
def activation_ignored() -> AbstractContextManager[Any]:
    return _node_changed(lambda node: replace(node, active_since=dict.fromkeys(node.active_since, 0)))


@pytest.mark.promise("once")
def newness_forgotten() -> AbstractContextManager[Any]:
    return patch.object(evaluation, "is_consumed", lambda *_: False)


@pytest.mark.promise("once")
def fingerprints_all_alike() -> AbstractContextManager[Any]:
    """Of inputs that a record does not name it is only known that one was used, as a count would tell."""
    return _with_fingerprints(alike=True)


@pytest.mark.promise("once")
def fingerprints_all_different() -> AbstractContextManager[Any]:
    return _with_fingerprints(alike=False)


def _with_fingerprints(*, alike: bool) -> AbstractContextManager[Any]:
    stack = ExitStack()
    stack.enter_context(patch.object(consumption, "NAMED", 0))
    stack.enter_context(patch.object(Fingerprint, "is_same", lambda *_: alike))
    return stack


@pytest.mark.promise("once")
def fired_while_in_flight() -> AbstractContextManager[Any]:
    return patch.object(decide, "in_flight", lambda *_: False)


@pytest.mark.promise("once")
def ended_by_an_older_attempt() -> AbstractContextManager[Any]:
    real = decide.in_flight

    def in_flight(record: TriggerRecord, revision: int, seen: SeenState | None) -> bool:
        del revision
        return real(structs.replace(record, attempt=None) if record.status is Status.SENT else record, 0, seen)

    return patch.object(decide, "in_flight", in_flight)


@pytest.mark.promise("not-early")
def other_branches_not_waited_for() -> AbstractContextManager[Any]:
    real = decide.decide

    def hasty(*given: Any) -> Decision:
        decision = real(*given)
        if decision.ready or decision.evaluated is None or not decision.due:
            return decision
        used = tuple(evaluation.inputs_at(decision.evaluated, evaluation.HOLDS))
        if not any(one.new for one in used):
            return decision
        inputs = decide._completions(used)
        return structs.replace(decision, ready=True, inputs=inputs, wave=max(one.revision for one in inputs.values()))

    return patch.object(propagation, "decide", hasty)


@pytest.mark.promise("not-early")
def failures_hold_nothing_back() -> AbstractContextManager[Any]:
    real = evaluation._Evaluator._input

    def evaluate(*given: Any, **named: Any) -> evaluation.EvaluatedInput:
        one = real(*given, **named)
        return structs.replace(one, repairable=False, if_repaired=one.would_hold)

    return patch.object(evaluation._Evaluator, "_input", evaluate)


@pytest.mark.promise("once")
def gates_start_things() -> AbstractContextManager[Any]:
    real = evaluation._Evaluator._input

    def evaluate(self: Any, dependency: Any, *given: Any, **named: Any) -> evaluation.EvaluatedInput:
        return real(self, dependency, *given, **{**named, "triggers": True})

    return patch.object(evaluation._Evaluator, "_input", evaluate)


def windows_wait_for_all() -> AbstractContextManager[Any]:
    return patch.object(Rollup, "needed", lambda _, members: members)


@pytest.mark.promise("not-early")
def age_forgotten() -> AbstractContextManager[Any]:
    real = evaluation._Evaluator._input

    def evaluate(self: Any, dependency: Any, *given: Any, **named: Any) -> evaluation.EvaluatedInput:
        evaluated = real(self, dependency, *given, **named)
        if evaluated.met or dependency.max_age is None or evaluated.seen is None:
            return evaluated
        state = getattr(evaluated.seen.value, "state", None)
        holds = state is not None and dependency.on.satisfied_by(state)
        would_hold = holds or evaluated.busy
        if_repaired = would_hold or evaluated.repairable
        return structs.replace(evaluated, holds=holds, would_hold=would_hold, if_repaired=if_repaired)

    return patch.object(evaluation._Evaluator, "_input", evaluate)


def deadlines_never_pass() -> AbstractContextManager[Any]:
    return patch.object(decide, "due_by", lambda *_: None)


def release_not_waited_for() -> AbstractContextManager[Any]:
    real = decide.decide

    def hasty(*given: Any) -> Decision:
        decision = real(*given)
        left = decision.obstacles - {Obstacle.WAITS_FOR_RELEASE}
        return (
            decision
            if left == decision.obstacles
            else structs.replace(decision, obstacles=left, readiness=Readiness.BUSY)
        )

    return patch.object(propagation, "decide", hasty)


@pytest.mark.promise("orders")
def orders_carried_out_again() -> AbstractContextManager[Any]:
    real = records.sent

    def sent(record: TriggerRecord, run: ObservedRun) -> TriggerRecord:
        return structs.replace(real(record, run), order=record.order)

    return patch.object(records, "sent", sent)


@pytest.mark.promise("orders")
def holds_ignored() -> AbstractContextManager[Any]:
    return patch.object(Cache, "hold", lambda *_: None)


def changes_are_not_propagated() -> AbstractContextManager[Any]:
    real = propagation.Propagation._propagate

    def propagate(self: propagation.Propagation, decision: Decision, *, live: bool, changed: bool) -> None:
        if changed:
            real(self, decision, live=live, changed=True)
            return
        self._unsettled.pop(decision.target, None)
        if decision.readiness is not Readiness.SETTLED:
            self._unsettled[decision.target] = decision.readiness

    return patch.object(propagation.Propagation, "_propagate", propagate)


def watermarks_forgotten() -> AbstractContextManager[Any]:
    return patch.object(Cache, "watermark", lambda *_: None)


def removed_though_needed() -> AbstractContextManager[Any]:
    return patch.object(removal, "what_keeps", lambda *_: None)


# -- looking, writing, sending -----------------------------------------------------------------------------------------


@pytest.mark.promise("not-early")
def look_ignored() -> AbstractContextManager[Any]:
    return patch.object(Checks, "_question_about", lambda *_: None)


@pytest.mark.promise("leader-only")
def fence_dropped() -> AbstractContextManager[Any]:
    def unfenced(compares: tuple[Any, ...], then: tuple[Any, ...], otherwise: tuple[str, ...] = ()) -> Transaction:
        return Transaction(tuple(one for one in compares if not isinstance(one, CreateRevisionIs)), then, otherwise)

    return patch.object(writes, "Transaction", unfenced)


@pytest.mark.promise("leader-only")
def leases_that_never_end() -> AbstractContextManager[Any]:
    return patch.object(HeldLease, "remaining", lambda _: 1e9)


def inputs_not_compared() -> AbstractContextManager[Any]:
    real = Write.compares.fget  # type: ignore[attr-defined]
    return patch.object(Write, "compares", property(lambda self: real(self)[:1]))


@pytest.mark.promise("kill")
def consumed_at_the_intent() -> AbstractContextManager[Any]:
    real = records.intend

    def intend(*given: Any, **named: Any) -> TriggerRecord:
        record = real(*given, **named)
        return structs.replace(record, consumed=record.consumed.and_then(record.inputs))

    return patch.object(records, "intend", intend)


@pytest.mark.promise("answers")
def foreign_runs_taken_for_ours() -> AbstractContextManager[Any]:
    real = InFlight.take

    def take(self: InFlight, message: EffectDone, now: float, **more: float) -> Pause:
        if isinstance(message.outcome, Foreign):
            message = replace(message, outcome=Happened(message.outcome.run))
        return real(self, message, now, **more)

    return patch.object(InFlight, "take", take)


@pytest.mark.promise("kill")
def repeated_without_asking() -> AbstractContextManager[Any]:
    def ask(self: Dispatcher, target: Target, request: StartRequest) -> None:
        self.send(target, request, math.inf)

    return patch.object(Dispatcher, "ask", ask)


@pytest.mark.promise("kill")
def repeated_without_thinking() -> AbstractContextManager[Any]:
    return patch.object(lifecycle, "_decide_again", lambda *_: lifecycle.Send())


@pytest.mark.promise("once")
def own_run_not_waited_for() -> AbstractContextManager[Any]:
    real = decide._obstacles

    def obstacles(*given: Any) -> list[Obstacle]:
        return [one for one in real(*given) if one is not Obstacle.RUNNING]

    stack = ExitStack()
    stack.enter_context(patch.object(decide, "_obstacles", obstacles))
    return stack


@pytest.mark.promise("answers")
def refusals_never_tried_again() -> AbstractContextManager[Any]:
    real = Reconcile._retry

    def retry(self: Reconcile, target: Target, at: float, priority: Priority) -> None:
        slowly = at > self._policy.clock.monotonic() + self._policy.blocked_retry / 2
        real(self, target, at + 1e9 if slowly else at, priority)

    return patch.object(Reconcile, "_retry", retry)


# -- hearing -----------------------------------------------------------------------------------------------------------


@pytest.mark.promise("not-early")
def fresh_by_arrival_alone() -> AbstractContextManager[Any]:
    def is_fresh(self: Arrivals, target: Target, seen: SeenState | None, now: float, *, at: datetime) -> bool:
        del seen, at
        return self.is_recent(target, now)

    return patch.object(Arrivals, "is_fresh", is_fresh)


def publications_forget_who_waits() -> AbstractContextManager[Any]:
    def use(self: Dispatchers, graph: Graph) -> list[Target]:
        for dispatcher in self.all():
            dispatcher.admission.forget()
            dispatcher.admission.set_limits(pipeline_limits(graph, dispatcher.environment))
        return []

    return patch.object(Dispatchers, "use", use)


@pytest.mark.promise("not-for-the-past")
def resumption_forgotten() -> AbstractContextManager[Any]:
    """What is put back counts as new: all that completed meanwhile is the past."""
    return patch.object(resuming, "_may_resume", lambda *_: False)


@pytest.mark.promise("not-for-the-past")
def resumed_after_any_time() -> AbstractContextManager[Any]:
    return patch.object(resuming, "_may_resume", lambda *_: True)


@pytest.mark.promise("not-for-the-past")
def owners_share_nothing() -> AbstractContextManager[Any]:
    """What one owner has taken out does not resume under another one."""
    return patch.object(Proposal, "_others", lambda _: [])


@pytest.mark.promise("bad-file")
def older_files_published() -> AbstractContextManager[Any]:
    """Whoever leads makes its file the one in force."""

    def rule(file: Edition, in_force: Edition | None, *_: Any, **__: Any) -> Ruling:
        return Ruling(edition.Verdict.SAME if file == in_force else edition.Verdict.PUBLISH)

    return patch("coordinator.commands.proposal.what_to_do", rule)


def counts_that_never_change() -> AbstractContextManager[Any]:
    """What the inputs of a counted condition do never leads to another decision."""
    stack = _everything_counted()
    stack.enter_context(patch.object(tally.Tally, "is_same", lambda *_: True))
    return stack


def counts_without_what_is_coming() -> AbstractContextManager[Any]:
    stack, real = _everything_counted(), tally._counts_of

    def counts_of(one: evaluation.EvaluatedInput) -> tuple[int, ...]:
        return *real(one)[: tally._COMING], 0, real(one)[tally._PENDING]

    stack.enter_context(patch.object(tally, "_counts_of", counts_of))
    return stack


def _everything_counted() -> ExitStack:
    """As conditions with dozens of inputs are; and nobody checks the counts afterwards."""
    stack = ExitStack()
    stack.enter_context(patch.object(tally, "WIDE", 0))
    return stack


def passed_over_though_known() -> AbstractContextManager[Any]:
    """Everything that is due and never ran was missed, whoever led when it became due."""
    return patch.object(catching_up, "_was_missed", lambda *_: True)


def examined_before_it_is_final() -> AbstractContextManager[Any]:
    return patch.object(propagation.Propagation, "is_final", lambda *_: True)


def environments_limits_forgotten() -> AbstractContextManager[Any]:
    real = Admission.__init__

    def init(self: Admission, *, slots: int, **_: Any) -> None:
        real(self, slots=slots)

    return patch.object(Admission, "__init__", init)


@pytest.mark.promise("orders")
def marks_overruled() -> AbstractContextManager[Any]:
    """What a run says of an attempt counts more than what a person has said of it."""

    def evaluate(present: RunState | None, report: RunState) -> Verdict:
        unmarked = structs.replace(present, marked=False, observed_at=None) if isinstance(present, RunState) else None
        return evaluate_report(unmarked, report)

    return patch("coordinator.commands.report.evaluate_report", evaluate)


def limits_forgotten() -> AbstractContextManager[Any]:
    return patch("coordinator.controller.dispatch.dispatchers.pipeline_limits", lambda *_: {})


@pytest.mark.promise("downtime")
def missed_while_disconnected() -> AbstractContextManager[Any]:
    real = Reflector._open

    def forgetful(self: Reflector, complete_to: int) -> Any:
        del complete_to
        return real(self, self._store.list(self._prefix).revision)

    return patch.object(Reflector, "_open", forgetful)


@pytest.mark.promise("following")
def silent_ends_not_followed() -> AbstractContextManager[Any]:
    return patch.object(Following, "want", lambda *_, **__: None)


@pytest.mark.promise("bad-file")
def overwritten_documents_begin_anew() -> AbstractContextManager[Any]:
    """What was due when somebody overwrote the document is forgotten."""
    real = Publications.last_of

    def last_of(self: Publications, owner: str) -> tuple[Publication, int] | None:
        return real(replace(self, last_readable={}), owner)

    return patch.object(Publications, "last_of", last_of)


@pytest.mark.promise("late-reports")
def late_reports_overwrite() -> AbstractContextManager[Any]:
    return patch("coordinator.commands.report.evaluate_report", lambda *_: Verdict.NEW)


# -- tasks, sensors, observed environments -----------------------------------------------------------------------------


@pytest.mark.promise("not-early")
def tasks_of_earlier_attempts_used() -> AbstractContextManager[Any]:
    """What a task did in an earlier attempt of its run counts for the present one."""
    return patch.object(tasks, "is_of_run", lambda task, run, **_: task.run.run_id == run.attempt.run_id)


@pytest.mark.promise("not-early")
def tasks_used_though_their_run_is_due() -> AbstractContextManager[Any]:
    real = tasks.readiness_of

    def readiness_of(*given: Any, runs_again: bool, **named: Any) -> Readiness:
        del runs_again
        return real(*given, runs_again=False, **named)

    return patch.object(decide, "readiness_of", readiness_of)


@pytest.mark.promise("not-early")
def tasks_used_though_their_run_is_requested() -> AbstractContextManager[Any]:
    return patch.object(tasks, "_has_begun", lambda *_: True)


def tasks_settled_before_they_end() -> AbstractContextManager[Any]:
    """What depends on a task does not wait for it while its run goes on."""
    real = tasks.readiness_of

    def readiness_of(*given: Any, **named: Any) -> Readiness:
        found = real(*given, **named)
        return Readiness.SETTLED if found is Readiness.BUSY and not named["runs_again"] else found

    return patch.object(decide, "readiness_of", readiness_of)


@pytest.mark.promise("once")
def clears_of_tasks_unseen() -> AbstractContextManager[Any]:
    """All attempts of a task have the same number."""
    return patch.object(taskstate, "_number_of", lambda _: 1)


@pytest.mark.promise("once")
def tasks_named_by_their_run() -> AbstractContextManager[Any]:
    """A task is another completion with every attempt of its run, also where others were cleared."""
    real = taskstate.task_state_of

    def task_state_of(instances: Any, **named: Any) -> TaskState:
        found = real(instances, **named)
        return structs.replace(found, attempt=structs.replace(found.attempt, number=hash(str(found.run)) & 0xFFFFFF))

    return patch("coordinator.controller.reconcile.task_observer.task_state_of", task_state_of)


@pytest.mark.promise("not-early")
def first_instance_of_a_mapped_task_counts() -> AbstractContextManager[Any]:
    real = taskstate.task_state_of

    def task_state_of(instances: Any, **named: Any) -> TaskState:
        return structs.replace(real(instances, **named), state=real(list(instances)[:1], **named).state)

    return patch("coordinator.controller.reconcile.task_observer.task_state_of", task_state_of)


@pytest.mark.promise("following")
def tasks_not_looked_at() -> AbstractContextManager[Any]:
    return patch.object(TaskObserver, "want", lambda *_: None)


@pytest.mark.promise("following")
def tasks_of_deleted_runs_waited_for() -> AbstractContextManager[Any]:
    return patch.object(TaskObserver, "run_is_gone", lambda *_: False)


@pytest.mark.promise("not-early")
def sensors_pass_before_it_is_settled() -> AbstractContextManager[Any]:
    return patch.object(waiting, "readiness_for", lambda *_: Readiness.SETTLED)


@pytest.mark.promise("not-early")
def sensors_pass_on_any_end() -> AbstractContextManager[Any]:
    real = waiting.completion_for

    def completion_for(propagation: Any, run: Target, wait: Wait) -> Any:
        return real(propagation, run, structs.replace(wait, on=On.DONE))

    return patch("coordinator.controller.reconcile.waits.completion_for", completion_for)


@pytest.mark.promise("not-early")
def sensors_pass_without_a_look() -> AbstractContextManager[Any]:
    return patch.object(WaitController, "_is_checked", lambda *_: True)


@pytest.mark.promise("following")
def sensors_forgotten() -> AbstractContextManager[Any]:
    """A wait is looked at when it comes, and not again when something happens to what it waits for."""
    return patch.object(Waits, "behind", lambda *_: ())


@pytest.mark.promise("once")
def sensors_cleared_again() -> AbstractContextManager[Any]:
    """What a sensor took is forgotten."""
    return patch.object(Completion, "is_same", lambda *_: False)


@pytest.mark.promise("following")
def sensors_never_cleared() -> AbstractContextManager[Any]:
    return patch.object(decide, "evaluate_sensors", lambda *_, **__: [])


@pytest.mark.promise("following")
def sensors_connect_nothing() -> AbstractContextManager[Any]:
    """A sensor is decided about when it passes, and not again when its upstream changes."""
    return patch.object(Waits, "runs_behind", lambda *_: ())


@pytest.mark.promise("following")
def cursors_move_before_all_is_written() -> AbstractContextManager[Any]:
    real = EnvironmentPoller._move_cursor

    def move(self: EnvironmentPoller, name: str, poll: Any) -> None:
        poll.seen = []
        real(self, name, poll)
        poll.cursor = poll.next_cursor + environment_poller.OVERLAP

    return patch.object(EnvironmentPoller, "_move_cursor", move)


@pytest.mark.promise("following")
def observed_runs_not_written() -> AbstractContextManager[Any]:
    return patch.object(EnvironmentPoller, "_write", lambda *_: False)


@pytest.mark.promise("following")
def clocks_taken_to_agree() -> AbstractContextManager[Any]:
    """The scheduler of an observed environment may have another clock than its API server."""
    return patch.object(changes, "_scheduler_behind", lambda *_: timedelta(0))


# -- asset events ------------------------------------------------------------------------------------------------------


@pytest.mark.promise("not-early")
def assets_used_while_runs_emit_them() -> AbstractContextManager[Any]:
    """What waits for an asset does not wait for the runs that emit it."""
    return patch.object(decide, "readiness_of_asset", lambda *_: Readiness.SETTLED)


@pytest.mark.promise("once")
def each_event_another_completion() -> AbstractContextManager[Any]:
    """A run that emits an asset twice lets it complete twice."""
    real = completions.with_event

    def with_event(known: Any, told: Any, run: Any, *, counted: int) -> Any:
        if run is not None:
            run = structs.replace(run, attempt=structs.replace(run.attempt, queued_at=None))
        return real(known, told, run, counted=counted)

    return patch.object(asset_states, "with_event", with_event)


@pytest.mark.promise("asset-upstreams")
def cleared_runs_emit_the_same_completion() -> AbstractContextManager[Any]:
    """All that a run ever emits is one completion."""
    real = completions.with_event

    def with_event(known: Any, told: Any, run: Any, *, counted: int) -> Any:
        if run is not None:
            run = structs.replace(run, attempt=structs.replace(run.attempt, queued_at=BEFORE_ALL))
        return real(known, told, run, counted=counted)

    return patch.multiple(asset_states, with_event=with_event, with_run=lambda known, *_, **__: known)


@pytest.mark.promise("asset-upstreams")
def events_before_their_run_forgotten() -> AbstractContextManager[Any]:
    """An event that comes before the state of its run, or of another attempt of it, is looked at only then."""
    real = AssetStates.note

    def note(self: AssetStates, touched: Any) -> None:
        real(self, [target for target in touched if target.pipeline.dag_id == EVENTS])

    return patch.object(AssetStates, "note", note)


@pytest.mark.promise("asset-upstreams")
def events_of_a_predecessor_forgotten() -> AbstractContextManager[Any]:
    """Who begins to lead looks at the events that come from then on."""

    def look_at_all(self: AssetStates) -> None:
        self._assets = self._propagation.graph.assets

    return patch.object(AssetStates, "_look_at_all", look_at_all)


@pytest.mark.promise("not-early")
def producers_connect_nothing() -> AbstractContextManager[Any]:
    """An asset is decided about when it is emitted, and not again when what emits it changes."""
    return patch.object(Produced, "behind", lambda *_: ())


@pytest.mark.promise("asset-upstreams")
def silent_runs_waited_for() -> AbstractContextManager[Any]:
    """What waits for an asset waits for an event of each run that emitted it before."""
    return patch.object(asset_states, "with_silence", lambda known, *_: known)


@pytest.mark.promise("asset-upstreams")
def only_the_newest_emission_kept() -> AbstractContextManager[Any]:
    return patch.object(completions, "MOST_EMISSIONS", 1)


@pytest.mark.promise("assets")
def events_sent_again_without_asking() -> AbstractContextManager[Any]:
    return _answers_about_deliveries(NotHappened("nobody has looked"))


def _answers_about_deliveries(outcome: Outcome) -> AbstractContextManager[Any]:
    """Whoever asks whether an event has arrived gets this answer, at once."""
    real = InFlight._take

    def take(self: InFlight, message: EffectDone, now: float) -> Pause:
        if message.effect is Effect.ASK and self.request.delivery is not None:
            message, now = replace(message, outcome=outcome, error=None), math.inf
        return real(self, message, now)

    return patch.object(InFlight, "_take", take)


@pytest.mark.promise("assets")
def events_of_one_origin_apart() -> AbstractContextManager[Any]:
    """``once`` is forgotten: what a cleared run emits again is handed on again."""
    return patch.object(PartitionsOfAssets, "downstreams", lambda _, upstream: (upstream,))


@pytest.mark.promise("assets")
def unanswered_events_given_up() -> AbstractContextManager[Any]:
    """An event whose answer was lost counts as handed on."""
    return _answers_about_deliveries(Delivered())


TASKS = Profile(tasks=1.0, sensors=0.0, observed=0.0, retention=0.0)
PEOPLE_AND_TASKS = replace(TASKS, acts=10, exact=0.3, calm=0.6)
SENSORS = Profile(sensors=1.0, tasks=0.5, acts=10, long_waits=0.6)
ASSETS = Profile(assets=1.0, sensors=0.0, observed=0.0, retention=0.0)
PEOPLE_AND_ASSETS = replace(ASSETS, acts=10, exact=0.0, calm=0.6)
ASSETS_IN_STORMS = replace(ASSETS, calm=0.0, exact=0.0, faults=8)
OBSERVED = Profile(observed=1.0, tasks=0.0, sensors=0.0, calm=0.2)
STORMY = Profile(calm=0.0, exact=0.2, faults=6)
PEOPLE = Profile(calm=0.6, exact=0.2, acts=8)
OLD = Profile(retention=1.0, acts=8, exact=0.0)
CALENDAR = Profile(calendar=1.0)
DAILY = Profile(calendar=0.0)
SILENT = Profile(calm=1.0, exact=0.0, acts=6, long_waits=0.6, mixed=0.3, calendar=0.0)
CALM = Profile(calm=1.0, exact=0.9, mixed=1.0)
AWAY = Profile(calm=0.0, exact=0.0, acts=8, faults=8, only=("away",), early=1.0, mixed=0.0, calendar=0.0)
FROZEN = Profile(calm=0.0, exact=0.0, acts=8, faults=8, only=("freeze",), early=1.0, mixed=0.0, calendar=0.0)
REFUSED = Profile(calm=0.0, faults=8, only=("missing",), early=1.0, mixed=0.0, calendar=0.0)
UNHEARD = Profile(calm=0.0, faults=8, only=("lost_reports",), early=1.0, mixed=0.0, calendar=0.0)
STANDING_STILL = Profile(calm=0.0, exact=0.0, acts=8, faults=8, only=("freeze before commit",))

OUTBOXES = Profile(
    calm=0.0, exact=0.0, acts=10, faults=6, only=("outbox",), long_waits=0.8, early=1.0, mixed=0.2, calendar=0.0
)
EDITED = Profile(calm=0.6, exact=0.4, acts=8, edits=4)
FILES = Profile(calm=0.0, exact=0.0, acts=10, faults=6, only=("kill",), edits=4, files=1.0, wide=0.0)
MISSED = Profile(calm=0.1, exact=0.0, acts=10, faults=8, only=("kill",), mixed=1.0, catchup=1.0, early=1.0)
MARKED = Profile(calm=1.0, exact=0.0, acts=20, marks=20, wide=0.0)
OVERWRITTEN = Profile(calm=0.0, exact=0.2, acts=8, only=("away", "overwrite"), meddling=1.0)
LIMITED = Profile(calm=0.6, exact=0.2, acts=8, mixed=1.0, limited=1.0)


@pytest.mark.promise("retries")
def failures_seen_below_before_a_retry() -> AbstractContextManager[Any]:
    real = decide._with_attempts

    def settled(*args: Any) -> Decision:
        found = real(*args)
        waits = found.retries and not found.obstacles
        return structs.replace(found, readiness=Readiness.SETTLED) if waits else found

    return patch.object(decide, "_with_attempts", settled)


@pytest.mark.promise("retries")
def retries_not_counted() -> AbstractContextManager[Any]:
    real = records._started

    def forgetful(record: TriggerRecord, *args: Any) -> TriggerRecord:
        return structs.replace(real(record, *args), retried=0)

    return patch.object(records, "_started", forgetful)


@pytest.mark.promise("retries")
def retries_without_delay() -> AbstractContextManager[Any]:
    return _node_changed(lambda node: replace(node, downstream=replace(node.downstream, retry_delay=timedelta(0))))


@pytest.mark.promise("timeouts")
def stopped_too_early() -> AbstractContextManager[Any]:
    def shorter(node: Node) -> Node:
        limit = node.downstream.timeout
        return replace(node, downstream=replace(node.downstream, timeout=limit / 4 if limit else None))

    return _node_changed(shorter)


RETRIED = Profile(retries=1.0, calm=0.6)

MUTATIONS: dict[str, tuple[Mutation, Profile | Callable[[int], Plan]]] = {
    mutation.__name__: (mutation, drawn)
    for mutation, drawn in (
        (settle_direct_everywhere, EVERYTHING),
        (activation_ignored, EVERYTHING),
        (newness_forgotten, EVERYTHING),
        (fingerprints_all_alike, EVERYTHING),
        (fingerprints_all_different, EVERYTHING),
        (fired_while_in_flight, PEOPLE),
        (ended_by_an_older_attempt, PEOPLE),
        (other_branches_not_waited_for, CALM),
        (failures_hold_nothing_back, EVERYTHING),
        (holds_ignored, EVERYTHING),
        (gates_start_things, CALM),
        (windows_wait_for_all, CALENDAR),
        (age_forgotten, EVERYTHING),
        (deadlines_never_pass, EVERYTHING),
        (release_not_waited_for, CALM),
        (orders_carried_out_again, PEOPLE),
        (changes_are_not_propagated, DAILY),
        (watermarks_forgotten, OLD),
        (removed_though_needed, OLD),
        (look_ignored, SILENT),
        (fence_dropped, FROZEN),
        (leases_that_never_end, FROZEN),
        (inputs_not_compared, STANDING_STILL),
        (consumed_at_the_intent, EVERYTHING),
        (foreign_runs_taken_for_ours, EVERYTHING),
        (repeated_without_asking, STORMY),
        (repeated_without_thinking, AWAY),
        (own_run_not_waited_for, EVERYTHING),
        (refusals_never_tried_again, REFUSED),
        (missed_while_disconnected, STORMY),
        (silent_ends_not_followed, UNHEARD),
        (late_reports_overwrite, STORMY),
        (fresh_by_arrival_alone, OUTBOXES),
        (publications_forget_who_waits, LIMITED),
        (limits_forgotten, LIMITED),
        (resumption_forgotten, EDITED),
        (resumed_after_any_time, EDITED),
        (owners_share_nothing, EDITED),
        (older_files_published, FILES),
        (counts_that_never_change, EVERYTHING),
        (counts_without_what_is_coming, EVERYTHING),
        (passed_over_though_known, MISSED),
        (examined_before_it_is_final, draw_arms),
        (environments_limits_forgotten, LIMITED),
        (marks_overruled, MARKED),
        (overwritten_documents_begin_anew, OVERWRITTEN),
        (tasks_of_earlier_attempts_used, TASKS),
        (tasks_used_though_their_run_is_due, PEOPLE_AND_TASKS),
        (tasks_used_though_their_run_is_requested, TASKS),
        (tasks_settled_before_they_end, TASKS),
        (clears_of_tasks_unseen, TASKS),
        (tasks_named_by_their_run, TASKS),
        (first_instance_of_a_mapped_task_counts, TASKS),
        (tasks_not_looked_at, TASKS),
        (tasks_of_deleted_runs_waited_for, PEOPLE_AND_TASKS),
        (sensors_pass_before_it_is_settled, SENSORS),
        (sensors_pass_on_any_end, SENSORS),
        (sensors_pass_without_a_look, SENSORS),
        (sensors_forgotten, SENSORS),
        (sensors_cleared_again, SENSORS),
        (sensors_never_cleared, SENSORS),
        (sensors_connect_nothing, SENSORS),
        (cursors_move_before_all_is_written, OBSERVED),
        (observed_runs_not_written, OBSERVED),
        (clocks_taken_to_agree, OBSERVED),
        (assets_used_while_runs_emit_them, ASSETS),
        (each_event_another_completion, ASSETS),
        (cleared_runs_emit_the_same_completion, PEOPLE_AND_ASSETS),
        (events_before_their_run_forgotten, ASSETS_IN_STORMS),
        (events_of_a_predecessor_forgotten, ASSETS_IN_STORMS),
        (producers_connect_nothing, PEOPLE_AND_ASSETS),
        (silent_runs_waited_for, PEOPLE_AND_ASSETS),
        (only_the_newest_emission_kept, PEOPLE_AND_ASSETS),
        (events_sent_again_without_asking, ASSETS_IN_STORMS),
        (events_of_one_origin_apart, PEOPLE_AND_ASSETS),
        (unanswered_events_given_up, ASSETS_IN_STORMS),
        (failures_seen_below_before_a_retry, RETRIED),
        (retries_not_counted, RETRIED),
        (retries_without_delay, RETRIED),
        (stopped_too_early, RETRIED),
    )
}


if __name__ == "__main__":
    sys.exit(main())
