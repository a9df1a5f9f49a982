"""Dispatchers: bounded, patient, and each on its own."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

import pytest

from coordinator.controller.backoff import Backoff
from coordinator.controller.dispatch.dispatcher import AT_HAND, AWAY_AFTER, STALE_AFTER, Dispatcher, EnvironmentLimits
from coordinator.controller.dispatch.jobs import ChangesSeen, Effect, EffectDone, LookDone, Recalled
from coordinator.controller.dispatch.look_queue import ASKED_IN_A_LOOK, FOLLOWED_IN_A_LOOK
from coordinator.controller.dispatch.pools import Pools
from coordinator.controller.queue.work_queue import Priority
from coordinator.errors import LeadershipLost
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import State
from coordinator.model.trigger import Action
from coordinator.runners.port import (
    NO_TASKS,
    Changed,
    Delivered,
    EnvironmentReport,
    EnvironmentUnavailable,
    Happened,
    ListPlace,
    Looked,
    NotHappened,
    ObservedRun,
    Outcome,
    Permit,
    Refused,
    RequestRefused,
    RunOrTask,
    RunRef,
    StartRequest,
)


class FakeRunner:
    def __init__(self) -> None:
        self.answer: Outcome | Exception = Happened(ObservedRun("d", "r", State.QUEUED, None))
        self.calls: list[str] = []
        self.answers_in_time: int | None = None
        self.permit: Permit

    def start(self, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
        assert permit is not None
        self.permit = permit
        return self._answer(f"start {request.token}")

    def ask(self, request: StartRequest) -> Outcome:
        return self._answer(f"ask {request.token}")

    def look(self, asked: Sequence[RunOrTask], *, timeout: float) -> Looked:
        self._answer(f"look {len(asked)} {timeout}")
        answered = asked[: self.answers_in_time]
        return Looked(dict.fromkeys(answered), unanswered=frozenset(asked) - frozenset(answered))

    def changed_runs(self, since: datetime | None, *, place: ListPlace, timeout: float) -> Changed:
        raise AssertionError(since, place, timeout)

    def stop(self, ref: RunRef, *, before: datetime | None, permit: Permit | None = None) -> Outcome:
        assert permit is not None
        self.permit = permit
        return self._answer(f"stop {ref.run_id} {before}")

    def check(self, dag_ids: Sequence[str], *, tasks: Mapping[str, Collection[str]] = NO_TASKS) -> EnvironmentReport:
        del tasks
        raise AssertionError(dag_ids)

    def close(self) -> None: ...

    def _answer(self, call: str) -> Outcome:
        self.calls.append(call)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Jobs:
    """An executor whose jobs run when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], EffectDone | LookDone | ChangesSeen]] = []

    def effect(self, environment: str, job: Callable[[], EffectDone | LookDone | ChangesSeen]) -> None:
        assert environment == "default"
        self.waiting.append(job)

    look = effect


def target(token: str) -> Target:
    return Target(PipelineRef("default", "d"), token)


class Bench:
    def __init__(self) -> None:
        self.runner, self.jobs = FakeRunner(), Jobs()
        self.guarded: list[float] = []
        self.dispatcher = Dispatcher(
            "default",
            self.runner,
            limits=EnvironmentLimits(requests=3, request_timeout=5.0),
            executor=self.jobs,
            backoff=Backoff(initial=1.0, longest=30.0),
            guard=self.guard,
        )
        self.leads = True

    def guard(self, seconds: float, term: int | None) -> None:
        del term
        self.guarded.append(seconds)
        if not self.leads:
            raise LeadershipLost("a test")

    def start(self, token: str, now: float = math.inf) -> None:
        """:param now: without one, it never waits too long."""
        self.dispatcher.send(target(token), StartRequest("d", Action.CREATE, "r", token), now)

    def work(self, now: float) -> list[EffectDone | LookDone | ChangesSeen]:
        """Run all jobs that are out."""
        jobs, self.jobs.waiting = self.jobs.waiting, []
        messages = [job() for job in jobs]
        for message in messages:
            assert not isinstance(message, ChangesSeen)
            self.dispatcher.finished(message, now)
        return messages


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_no_more_effects_are_handed_out_than_the_executor_can_soon_run(bench: Bench) -> None:
    for number in range(3 * AT_HAND + 2):
        bench.start(str(number))
    bench.dispatcher.pump(0.0)
    assert len(bench.jobs.waiting) == 3 * AT_HAND
    bench.work(0.0)
    bench.dispatcher.pump(0.0)
    assert len(bench.jobs.waiting) == 2


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (Happened(ObservedRun("d", "r", State.QUEUED, None)), "answered"),
        (Delivered(), "answered"),
        (NotHappened("no such run"), "answered"),
        (Refused(403, "no"), "refused"),
        (RequestRefused("no", status=403), "refused"),
        (EnvironmentUnavailable("away"), "unanswered"),
        (LeadershipLost("a test"), "not_sent"),
    ],
)
def test_requests_are_counted_by_what_came_of_them(bench: Bench, answer: Outcome | Exception, counted: str) -> None:
    bench.runner.answer = answer
    bench.start("one")
    bench.dispatcher.pump(0.0)
    bench.work(0.0)
    assert bench.dispatcher.answers == {("start", counted): 1}


def test_of_one_environments_effects_no_more_run_at_once_than_its_limit() -> None:
    """Airflow on SQLite takes one trigger at a time; a look beside it does no harm."""
    running, most, done = 0, 0, threading.Semaphore(0)
    lock, together = threading.Lock(), threading.Barrier(2, timeout=10)

    def job() -> EffectDone:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()  # for another one beside it
        with lock:
            running -= 1
        return EffectDone("default", Target(PipelineRef("default", "d"), "p"), "t", Effect.START)

    pools = Pools({"default": 2}, lambda _: done.release())
    for _ in range(20):
        pools.effect("default", job)
    for _ in range(20):
        assert done.acquire(timeout=10)
    pools.close()
    assert most == 2


@pytest.mark.promise("downtime")
def test_a_silent_environment_is_tried_one_effect_at_a_time_after_growing_pauses(bench: Bench) -> None:
    bench.runner.answer = EnvironmentUnavailable("down")
    now, pauses = 0.0, []
    for number in range(4):
        bench.start(str(number))
        bench.start(f"{number} too")
        bench.dispatcher.pump(now)
        assert len(bench.jobs.waiting) == (2 if number == 0 else 1)
        bench.work(now)
        assert bench.dispatcher.is_down(now)
        next_at = bench.dispatcher.next_at()
        if next_at is not None:
            pauses.append(next_at - now)
            bench.dispatcher.pump(next_at - 0.01)
            assert not bench.jobs.waiting
            now = next_at
        else:
            now = bench.dispatcher.not_before
    assert pauses == sorted(pauses)
    assert len(pauses) > 2


@pytest.mark.promise("downtime")
def test_an_answer_ends_the_pause(bench: Bench) -> None:
    bench.runner.answer = EnvironmentUnavailable("busy", retry_after=7.0)
    bench.start("1")
    bench.dispatcher.pump(0.0)
    bench.work(0.0)
    assert bench.dispatcher.not_before >= 7.0
    bench.runner.answer = NotHappened("no")
    for number in range(3):
        bench.start(str(number))
    bench.dispatcher.pump(bench.dispatcher.not_before)
    bench.work(8.0)
    assert not bench.dispatcher.is_down(8.0)
    bench.dispatcher.pump(8.0)
    assert len(bench.jobs.waiting) == 2


def test_looks_go_out_together_beside_the_effects(bench: Bench) -> None:
    for number in range(4):
        bench.start(str(number))
    bench.dispatcher.look(RunRef("d", "1"), timeout=2.0)
    bench.dispatcher.look(RunRef("d", "1"), timeout=1.0)
    bench.dispatcher.look(RunRef("d", "2"), timeout=1.0)
    bench.dispatcher.pump(0.0)
    bench.dispatcher.look(RunRef("d", "3"), timeout=1.0)
    bench.dispatcher.pump(0.0)
    bench.work(0.0)
    assert [call for call in bench.runner.calls if call.startswith("look")] == ["look 2 2.0"]
    bench.dispatcher.pump(0.0)
    bench.work(0.0)
    assert "look 1 1.0" in bench.runner.calls


@pytest.mark.promise("leader-only")
def test_nothing_is_sent_on_a_lease_too_short_for_it(bench: Bench) -> None:
    bench.leads = False
    bench.start("1")
    bench.dispatcher.pump(0.0)
    (message,) = bench.work(0.0)
    assert isinstance(message.error, LeadershipLost)
    assert bench.guarded == [5.0]
    assert bench.runner.calls == []
    assert not bench.dispatcher.is_down(0.0)


@pytest.mark.promise("leader-only")
def test_a_runner_asks_again_before_it_sends(bench: Bench) -> None:
    bench.start("1")
    bench.dispatcher.pump(0.0)
    bench.work(0.0)
    bench.leads = False
    with pytest.raises(LeadershipLost):
        bench.runner.permit(2.5)
    assert bench.guarded == [5.0, 2.5], "the whole time limit at first, then what is left of it"


def test_a_defect_of_a_runner_is_an_environment_that_gave_no_answer(bench: Bench) -> None:
    bench.runner.answer = ZeroDivisionError("a defect")
    bench.start("1")
    bench.dispatcher.look(RunRef("d", "1"), timeout=1.0)
    bench.dispatcher.pump(0.0)
    messages = bench.work(0.0)
    assert [type(message.error) for message in messages] == [EnvironmentUnavailable] * 2
    assert bench.dispatcher.is_down(0.0)


def test_what_has_not_gone_out_is_forgotten_with_the_leadership(bench: Bench) -> None:
    for number in range(3 * AT_HAND + 3):
        bench.start(str(number))
    bench.dispatcher.pump(0.0)
    bench.dispatcher.forget()
    bench.work(0.0)
    bench.dispatcher.pump(0.0)
    assert not bench.jobs.waiting
    assert bench.dispatcher.is_idle()


def test_a_request_that_has_waited_too_long_is_not_sent(bench: Bench) -> None:
    bench.start("old", 0.0)
    bench.start("new", STALE_AFTER)
    assert bench.dispatcher.pump(STALE_AFTER + 0.1) == [(target("old"), "old")]
    bench.work(STALE_AFTER + 0.1)
    assert bench.runner.calls == ["start new"]
    assert bench.dispatcher.is_idle()


def test_a_question_does_not_grow_stale(bench: Bench) -> None:
    bench.dispatcher.ask(target("1"), StartRequest("d", Action.CREATE, "r", "1"))
    assert bench.dispatcher.pump(1e6) == []
    bench.work(1e6)
    assert bench.runner.calls == ["ask 1"]


def test_a_request_that_is_recalled_before_it_is_sent_is_not_sent(bench: Bench) -> None:
    for number in range(3 * AT_HAND + 1):
        bench.start(str(number))
    bench.dispatcher.pump(0.0)
    handed_out, still_here = "0", str(3 * AT_HAND)
    for token in (handed_out, still_here):
        bench.dispatcher.recall(target(token), token)
    messages = bench.work(0.0)
    assert [isinstance(message.error, Recalled) for message in messages] == [True] + [False] * (3 * AT_HAND - 1)
    assert not bench.dispatcher.failures, "it says nothing about the environment"
    assert bench.dispatcher.pump(0.0) == [(target(still_here), still_here)]
    assert not {f"start {handed_out}", f"start {still_here}"} & set(bench.runner.calls)


def test_a_request_whose_record_was_overwritten_does_not_go_out(bench: Bench) -> None:
    for number in range(3 * AT_HAND + 1):
        bench.start(str(number))
    bench.dispatcher.pump(0.0)
    for number in (0, 3 * AT_HAND):
        bench.dispatcher.drop(target(str(number)), str(number))
    bench.work(0.0)
    assert bench.dispatcher.pump(0.0) == []
    assert bench.runner.calls == [f"start {number}" for number in range(1, 3 * AT_HAND)]


def test_of_an_environment_that_does_not_answer_one_target_at_a_time_gets_a_slot(bench: Bench) -> None:
    """Whoever has an intent in hand has one; the others wait without, however many they are."""
    bench.runner.answer = EnvironmentUnavailable("down")
    bench.start("1")
    bench.dispatcher.pump(0.0)
    bench.work(0.0)
    later = bench.dispatcher.not_before
    assert not bench.dispatcher.enter(target("a"), Priority.LIVE, now=0.0)
    assert not bench.dispatcher.enter(target("b"), Priority.LIVE, now=later)
    assert len(bench.dispatcher.admit(later)) == 1
    assert bench.dispatcher.admit(later) == []
    bench.runner.answer = NotHappened("no")
    bench.start("2")
    bench.dispatcher.pump(later)
    bench.work(later)
    assert len(bench.dispatcher.admit(later)) == 1


def test_while_one_is_out_to_try_nothing_but_its_answer_is_waited_for(bench: Bench) -> None:
    """A moment that has passed already would keep the deciding thread spinning until then."""
    bench.runner.answer = EnvironmentUnavailable("down")
    for number in range(3 * AT_HAND + 2):
        bench.start(str(number))
    bench.dispatcher.pump(0.0)
    bench.work(0.0)
    next_at = bench.dispatcher.next_at()
    assert next_at == bench.dispatcher.not_before
    bench.dispatcher.pump(next_at)
    assert len(bench.jobs.waiting) == 1
    assert bench.dispatcher.next_at() is None
    bench.work(next_at)
    assert bench.dispatcher.next_at() == bench.dispatcher.not_before


def test_looks_and_requests_back_off_each_by_themselves(bench: Bench) -> None:
    """A list that is slow keeps no request from going out, and a request that is told to wait keeps no look."""
    dispatcher, run = bench.dispatcher, RunRef("d", "1")
    bench.runner.answer = EnvironmentUnavailable("a slow list")
    dispatcher.look(run, timeout=1.0)
    dispatcher.pump(0.0)
    bench.work(0.0)
    dispatcher.look(run, timeout=1.0)
    assert not dispatcher.may_look(0.0)
    assert dispatcher.next_at() == dispatcher.look_not_before
    bench.runner.answer = EnvironmentUnavailable("too many requests", retry_after=100.0)
    bench.start("1")
    dispatcher.pump(0.0)
    bench.work(0.0)
    assert bench.runner.calls == ["look 1 1.0", "start 1"]
    assert dispatcher.is_down(99.0)
    bench.runner.answer = NotHappened("no")
    dispatcher.pump(dispatcher.look_not_before)
    bench.work(dispatcher.look_not_before)
    assert bench.runner.calls[-1] == "look 1 1.0"
    assert dispatcher.may_look(dispatcher.look_not_before)
    assert dispatcher.is_down(99.0)


def look_at(bench: Bench, numbers: range, *, followed: bool = False) -> None:
    for number in numbers:
        bench.dispatcher.look(RunRef("d", str(number)), timeout=1.0, followed=followed)


def looked_at(bench: Bench) -> list[int]:
    """The runs that the next look has seen, in order."""
    bench.dispatcher.pump(0.0)
    (message,) = bench.work(0.0)
    assert isinstance(message, LookDone)
    return [int(run.run_id) for run in message.looked.seen]


def test_what_there_was_no_time_for_goes_out_first_with_the_next_look(bench: Bench) -> None:
    bench.runner.answers_in_time = 2
    look_at(bench, range(3))
    bench.dispatcher.pump(0.0)
    look_at(bench, range(3, 5))
    assert looked_at(bench) == [0, 1]
    assert looked_at(bench) == [2, 3]
    assert not bench.dispatcher.is_down(0.0), "it answers, if slowly"
    assert looked_at(bench) == [4]
    assert bench.dispatcher.is_idle()


def test_a_look_is_bounded_and_nobody_is_passed_over(bench: Bench) -> None:
    count = 2 * ASKED_IN_A_LOOK + 10
    look_at(bench, range(count))
    looks = [looked_at(bench) for _ in range(3)]
    assert [len(seen) for seen in looks] == [ASKED_IN_A_LOOK, ASKED_IN_A_LOOK, 10]
    assert list(itertools.chain(*looks)) == list(range(count))


def test_who_waits_for_an_answer_does_not_wait_behind_what_is_followed(bench: Bench) -> None:
    followed = range(5 * FOLLOWED_IN_A_LOOK)
    look_at(bench, followed, followed=True)
    look_at(bench, range(10_000, 10_003))
    assert looked_at(bench) == [10_000, 10_001, 10_002, *followed[:FOLLOWED_IN_A_LOOK]]
    look_at(bench, followed[-2:])
    assert looked_at(bench) == [*followed[-2:], *followed[FOLLOWED_IN_A_LOOK : 2 * FOLLOWED_IN_A_LOOK]]
    rest = [looked_at(bench) for _ in range(3)]
    assert list(itertools.chain(*rest)) == list(followed[2 * FOLLOWED_IN_A_LOOK : -2]), "each is asked about once"
    assert bench.dispatcher.is_idle()


def test_what_there_was_no_time_for_is_forgotten_with_the_leadership(bench: Bench) -> None:
    bench.runner.answers_in_time = 1
    look_at(bench, range(3))
    bench.dispatcher.pump(0.0)
    bench.dispatcher.forget()
    bench.work(0.0)
    assert bench.dispatcher.is_idle()


@pytest.mark.promise("following")
def test_what_is_followed_is_not_passed_over_by_those_that_always_ask(bench: Bench) -> None:
    """The environment is so slow that there is no end to what somebody waits for."""
    bench.runner.answers_in_time = 4
    look_at(bench, range(3), followed=True)
    seen: list[int] = []
    for first in range(100, 200, 10):
        look_at(bench, range(first, first + 10))
        seen += looked_at(bench)
    assert [run for run in seen if run < 100] == [0, 1, 2]
    assert [run for run in seen if run >= 100] == list(range(100, 137))
    assert seen[:7] == [100, 101, 102, 103, 0, 1, 2]


def test_what_somebody_asks_for_while_it_is_followed_is_asked_once(bench: Bench) -> None:
    bench.runner.answers_in_time = 1
    look_at(bench, range(3), followed=True)
    bench.dispatcher.pump(0.0)
    look_at(bench, range(2, 3))
    assert looked_at(bench) == [0]
    bench.runner.answers_in_time = None
    assert looked_at(bench) == [2, 1]
    assert bench.dispatcher.is_idle()


def test_an_environment_that_answers_no_request_for_a_minute_is_a_problem(bench: Bench) -> None:
    bench.runner.answer = EnvironmentUnavailable("timed out")
    now = 0.0
    while now < AWAY_AFTER:
        bench.start(str(now))
        bench.dispatcher.pump(now)
        bench.work(now)
        assert bench.dispatcher.problem(now) is None
        now += 30.0
    assert bench.dispatcher.problem(now) is None, "and no request waits for it"
    bench.start("waits")
    says = "it has not answered any request for more than a minute: timed out"
    assert bench.dispatcher.problem(now) == says
    bench.dispatcher.pump(now)
    assert bench.dispatcher.problem(now) == says
    bench.work(now)
    now += 60.0  # longer than it backs off
    bench.runner.answer = Happened(ObservedRun("d", "r", State.QUEUED, None))
    bench.start("one more")
    bench.dispatcher.pump(now)
    bench.work(now)
    assert bench.dispatcher.problem(now) is None


def test_what_was_not_answered_in_an_earlier_term_is_not_shown_any_more(bench: Bench) -> None:
    """A watcher that leads no more asks nothing, and would show it for ever."""
    bench.runner.answer = EnvironmentUnavailable("away")
    bench.dispatcher.term = 7
    bench.start("a")
    bench.dispatcher.pump(0.0)
    bench.work(0.0)
    assert bench.dispatcher.measures().failures == 1
    assert bench.dispatcher.present_error == "away"
    bench.dispatcher.term = None
    assert bench.dispatcher.measures().failures == 0
    assert bench.dispatcher.present_error is None


@pytest.mark.parametrize(("sent", "timed"), [(True, 1), (False, 0)])
def test_what_went_out_is_timed_and_nothing_else(bench: Bench, sent: bool, timed: int) -> None:
    if not sent:
        bench.runner.answer = LeadershipLost("another one leads")
    bench.start("a")
    bench.dispatcher.pump(0.0)
    bench.work(0.0)
    found = bench.dispatcher.measures().seconds
    assert {labels: sum(one.counts) for labels, one in found.items()} == ({("start",): timed} if timed else {})
