"""What an explanation says of windows, gates, ages, deadlines and people's orders."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta

from coordinator.model.conditions import Condition, Dependency, all_of, leaves
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.deadline import TimeOfDay
from coordinator.model.dependencies import Downstream, OnLate, Rerun
from coordinator.model.explanation import Explanation, Kind, as_json, explain, headline
from coordinator.model.graph import Graph, Node
from coordinator.model.order import GivenOrder, Order
from coordinator.model.partitions import Latest, Period, Rollup, StartOf
from coordinator.model.partitions.instants import format_instant
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.trigger import Action, Status, TriggerRecord
from coordinator.model.view import SeenOrder, SeenRecord, SeenState
from tests.unit.model.facts import Facts

DAY = datetime(2026, 11, 20, tzinfo=UTC)
K = format_instant(DAY)
A, B, D = (PipelineRef("default", name) for name in "ABD")


class Situation:
    """Facts about A and B, and D, which waits for them."""

    def __init__(
        self,
        condition: Condition,
        *,
        now: datetime = DAY + timedelta(days=2),
        rerun: Rerun = Rerun.CLEAR,
        deadline: TimeOfDay | None = None,
        on_late: OnLate = OnLate.SHOW,
    ) -> None:
        downstream = Downstream(D, condition, rerun=rerun, deadline=deadline, on_late=on_late)
        self.facts = Facts()
        self.revision = 10
        self._graph = Graph([Node(downstream, dict.fromkeys(leaves(condition), 1))])
        self._now = now

    def report(
        self, pipeline: PipelineRef, partition: str = K, state: State = State.SUCCESS, *, at: datetime = DAY
    ) -> SeenState:
        self.revision += 1
        seen = SeenState(RunState(state, Attempt("r", at, None), observed_at=at, ended_at=at), self.revision)
        self.facts.states[Target(pipeline, partition)] = seen
        return seen

    def record(self, status: Status = Status.DONE, *, consumed: dict[Target, SeenState], error: str = "") -> None:
        self.revision += 1
        used = {
            target: Consumed(seen.revision, seen.value.attempt, seen.value.state)
            for target, seen in consumed.items()
            if isinstance(seen.value, RunState)
        }
        kept = Consumption.of(used)
        record = TriggerRecord(
            status,
            1,
            Action.CREATE,
            "run",
            "t",
            9,
            consumed=kept,
            who="w",
            when=DAY,
            last_error=error or None,
        )
        self.facts.records[Target(D, K)] = SeenRecord(record, self.revision)

    def explained(self, partition: str = K) -> Explanation:
        propagation = Propagation(self._graph, self.facts, now=self._now)
        propagation.refresh({*self.facts.states, *self.facts.records, *self.facts.orders, Target(D, partition)})
        about = explain(propagation, Target(D, partition))
        assert json.loads(json.dumps(as_json(about)))["says"] == about.headline
        return about


def lines(about: Explanation) -> list[str]:
    return [line.text for line in about.lines]


def hour(number: int) -> str:
    return format_instant(DAY + timedelta(hours=number))


def test_of_a_window_the_missing_partitions_are_named_and_the_others_counted() -> None:
    situation = Situation(Dependency(A, mapping=Rollup(Period.DAY, Period.HOUR)))
    for number in range(24):
        if number not in (5, 6):
            situation.report(A, hour(number))
    situation.report(A, hour(6), State.FAILED)
    about = situation.explained()
    first, failed, run, news = lines(about)
    assert first == f"A by rollup of the day's hours: 22 of 24 hold; missing: {hour(5)}, {hour(6)}"
    assert failed.startswith(f"A@{hour(6)} by rollup of the day's hours: failed, revision ")
    assert run == f"in run r at {K}"
    assert news == "22 of them new"
    assert [(cause.target.partition, cause.kind) for cause in about.causes] == [
        (hour(5), Kind.NOT_YET),
        (hour(6), Kind.FAILED),
    ]
    assert about.outlook == (
        f"It fires when A@{hour(5)} succeeds (not yet) and A@{hour(6)} is cleared and succeeds (it failed at {K})."
    )


def test_a_window_in_which_some_may_be_missing_says_how_many_are_needed() -> None:
    situation = Situation(Dependency(A, mapping=Rollup(Period.DAY, Period.HOUR, wait=-2)))
    for number in range(20):
        situation.report(A, hour(number))
    about = situation.explained()
    assert lines(about)[0].startswith("A by rollup of the day's hours, 2 may be missing: 20 of 24 hold, 22 needed;")
    assert about.outlook.startswith(f"It fires when 2 of these: A@{hour(20)} succeeds (not yet), ")
    whole = Situation(Dependency(A, mapping=Rollup(Period.DAY, Period.HOUR)))
    seen = {Target(A, hour(number)): whole.report(A, hour(number)) for number in range(24)}
    whole.record(consumed=seen)
    assert lines(whole.explained()) == ["A by rollup of the day's hours: 24 of 24 hold"]
    assert whole.explained().outlook == (
        "Nothing that it needs is new. It fires when A completes again in one of its 24 partitions."
    )


def test_a_window_of_a_thousand_partitions_stays_readable() -> None:
    about = Situation(Dependency(A, mapping=Rollup(Period.DAY, Period.MINUTE))).explained()
    assert len(about.causes) > 900
    because = list(about.because())
    assert len(because) <= 11
    assert because[-1].startswith("A: not yet in ")
    assert len(about.headline) < 1000
    assert len(about.outlook) < 2000
    assert len(lines(about)) == 1
    assert len(lines(about)[0]) < 1000


def test_a_partition_to_which_no_other_belongs_says_so() -> None:
    about = Situation(Dependency(A, mapping=Rollup(Period.DAY, Period.HOUR))).explained("europe")
    assert lines(about) == ["A by rollup of the day's hours: no partition of it belongs to europe"]
    assert about.outlook == (
        "It fires when a person orders it to run: no partition of A by rollup of the day's hours belongs to europe."
    )
    about = Situation(Dependency(A, mapping=StartOf(Period.DAY))).explained(K)
    assert lines(about) == [f"A by start of day: no partition of it belongs to {K} yet"]


def test_a_gate_is_called_one_and_starts_nothing() -> None:
    situation = Situation(all_of(Dependency(A), Dependency(B, trigger=False)))
    situation.record(consumed={Target(A, K): situation.report(A)})
    situation.report(B)
    about = situation.explained()
    assert lines(about)[3].startswith("B as a gate: success, revision ")
    assert "new" not in lines(about)[3]
    assert about.outlook == "Nothing that it needs is new. It fires when A completes again."


def test_a_completion_that_is_too_old_is_told_with_its_age() -> None:
    gate = Dependency(B, mapping=Latest(), trigger=False, max_age=timedelta(days=1))
    situation = Situation(all_of(Dependency(A), gate))
    situation.report(A)
    situation.report(B, "2026-11-01")
    about = situation.explained()
    (cause,) = about.causes
    assert (cause.kind, cause.target) == (Kind.TOO_OLD, Target(B, "2026-11-01"))
    assert cause.says == f"succeeded in run r at {K}; that is too old since 2026-11-21T00:00:00Z (max_age 1 day)"
    assert "too old since 2026-11-21T00:00:00Z" in lines(about)[3]
    assert about.outlook == f"It fires when B@2026-11-01 succeeds again (it succeeded at {K})."


def test_what_latest_waits_for_is_the_partition_that_is_running() -> None:
    situation = Situation(all_of(Dependency(A), Dependency(B, mapping=Latest(), trigger=False)))
    situation.report(A)
    situation.report(B, "2026-11-01")
    situation.report(B, "2026-11-02", State.RUNNING)  # of another wave: not waited for
    situation.report(B, K, State.RUNNING)
    about = situation.explained()
    assert [(cause.target, cause.kind) for cause in about.causes] == [(Target(B, K), Kind.RUNNING)]
    assert lines(about)[-1] == f"busy: has more to come: {K}"


def test_a_deadline_is_told_before_and_after_it_has_passed() -> None:
    deadline = TimeOfDay(time(6), days=1)
    condition = all_of(Dependency(A), Dependency(B))
    for on_late, before, after in (
        (OnLate.SHOW, "At 2026-11-21T06:00:00Z it is late.", "it is late, it was due by 2026-11-21T06:00:00Z"),
        (OnLate.FIRE, "At 2026-11-21T06:00:00Z it fires with what is there then.", "fires now; it is late"),
        (OnLate.SKIP, "At 2026-11-21T06:00:00Z it is given up.", "is given up: it should have been started by"),
    ):
        early = Situation(condition, now=DAY, deadline=deadline, on_late=on_late)
        early.report(A)
        about = early.explained()
        assert about.outlook.endswith(before)
        assert not about.decision.late
        late = Situation(condition, deadline=deadline, on_late=on_late)
        late.report(A)
        assert after in late.explained().headline


def test_one_that_waits_for_a_release_says_how_to_give_it() -> None:
    situation = Situation(Dependency(A), rerun=Rerun.HOLD)
    situation.record(consumed={Target(A, K): situation.report(A)})
    situation.report(A, at=DAY + timedelta(hours=1))
    about = situation.explained()
    assert [cause.kind for cause in about.causes] == [Kind.WAITS_FOR_RELEASE]
    assert about.remedies() == [f"D: coordinator release D {K}"]
    assert about.outlook == f"It fires when a person lets it run again (coordinator release D {K})."
    assert about.headline.endswith("would fire now, but it is waiting for release")


def test_a_persons_order_is_told() -> None:
    situation = Situation(Dependency(A))
    situation.record(consumed={Target(A, K): situation.report(A)})
    situation.facts.orders[Target(D, K)] = SeenOrder(GivenOrder(Order.RERUN, "ann", DAY, "late file"), 99)
    about = situation.explained()
    assert about.headline.endswith("fires now, as a person has ordered")
    assert as_json(about)["order"]["why"] == "late file"
    assert headline(about.decision) == about.headline
