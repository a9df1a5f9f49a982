"""The conversations that every runner must be able to have, as tests (docs/runners.md#the-test-kit).

For pytest. An implementer subclasses :class:`RunnerConversations` in a test module, and gives it a fixture
``playground``::

    class TestMyRunner(RunnerConversations):
        @pytest.fixture
        def playground(self) -> Iterator[Playground]:
            runner = MyRunner("test", settings)
            yield Playground(runner, another=lambda: MyRunner("test", settings), quick="quick", slow="slow")
            runner.close()

``pytest.register_assert_rewrite("coordinator.runners.testing")`` in a ``conftest.py`` makes failures say more. What
only some environments can do (tasks, assets, changed runs, faults on the line) is for tests of their own.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.errors import LeadershipLost
from coordinator.model.partitions.instants import coordinator_run_id, format_instant
from coordinator.model.runstate import State
from coordinator.model.trigger import Action
from coordinator.runners.port import (
    BEGINNING,
    Foreign,
    Happened,
    NotHappened,
    ObservedRun,
    Outcome,
    Permit,
    Refused,
    Runner,
    RunRef,
    StartRequest,
)

UNKNOWN = "nowhere"
"""The name of no pipeline."""

WITHIN = 60.0
"""Seconds within which a run of ``quick`` has ended."""


@dataclass(frozen=True)
class Playground:
    """An environment to speak with, in which the tests may start any number of runs.

    :ivar runner: what is tested. The fixture closes it.
    :ivar another: makes another runner on the same environment, as a successor has it.
    :ivar quick: a pipeline whose runs succeed within :data:`WITHIN`.
    :ivar slow: a pipeline whose runs go on for at least half a minute.
    :ivar failing: a pipeline whose runs fail; ``None``: there is none.
    :ivar at_once: identical requests that it can take at the same time; an Airflow on SQLite takes 1.
    :ivar stops: runs can be stopped.
    :ivar keeps_dates: a run has the logical date that was asked for, and none where none was.
    """

    runner: Runner
    another: Callable[[], Runner]
    quick: str
    slow: str
    failing: str | None = None
    at_once: int = 6
    keeps_dates: bool = True
    stops: bool = True


# -- requests, as the watcher makes them -------------------------------------------------------------------------------


def some_date() -> datetime:
    """A date that no other test uses: an environment may be shared by all of them."""
    return datetime(2001, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(600_000_000))


def create(pipeline: str, *, date: datetime | None = None, run_id: str | None = None, token: str = "") -> StartRequest:
    """A create in the partition of ``date``; without one, in a partition that is no date."""
    partition = format_instant(date) if date else f"customers {uuid.uuid4().hex}/a%b"
    token = token or uuid.uuid4().hex
    return StartRequest(
        dag_id=pipeline,
        action=Action.CREATE,
        run_id=run_id or coordinator_run_id(partition, 1),
        token=token,
        logical_date=date,
        conf={"coordinator": {"partition": partition, "sequence": 1, "token": token, "wave": 7, "inputs": []}},
        partition=partition,
    )


def clear(run: ObservedRun) -> StartRequest:
    """A clear of a run as it was seen."""
    return StartRequest(
        dag_id=run.dag_id, action=Action.CLEAR, run_id=run.run_id, token=uuid.uuid4().hex, before=run.queued_at
    )


# -- what comes back ---------------------------------------------------------------------------------------------------


def start(runner: Runner, request: StartRequest, *, permit: Permit | None = None) -> Outcome:
    """Start, and repeat what is known not to have happened, as the watcher does."""
    outcome = runner.start(request, permit=permit)
    for _ in range(4):
        if not isinstance(outcome, NotHappened):
            break
        outcome = runner.start(request, permit=permit)
    return outcome


def happened(outcome: object) -> ObservedRun:
    """The run of a request that has succeeded."""
    assert isinstance(outcome, Happened), outcome
    return outcome.run


def is_same_attempt(later: ObservedRun, earlier: ObservedRun) -> bool:
    """Whether two looks have shown one attempt. Where it is only estimated, its start is the moment of the look."""
    assert later.queued_at is not None
    assert earlier.queued_at is not None
    if earlier.is_estimated:
        return later.queued_at >= earlier.queued_at
    return later.queued_at == earlier.queued_at


def seen(runner: Runner, run: ObservedRun) -> ObservedRun | None:
    """The run as it is now."""
    ref = RunRef(run.dag_id, run.run_id)
    return runner.look([ref], timeout=10).runs[ref]


def wait_for(runner: Runner, run: ObservedRun, state: State, *, within: float = WITHIN) -> ObservedRun:
    """The run, once it is in this state."""
    end = time.monotonic() + within
    while True:
        now = seen(runner, run)
        if now is not None and now.state is state:
            return now
        assert now is None or not now.state.is_terminal, f"{run.dag_id} {run.run_id} is not {state} but {now}"
        assert time.monotonic() < end, f"{run.dag_id} {run.run_id} is not {state} after {within} s but {now}"
        time.sleep(0.05)


class Permits:
    """A permit that notes what it is asked. :param refuses: it permits nothing."""

    def __init__(self, *, refuses: bool = False) -> None:
        self._refuses = refuses
        self.asked: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        if self._refuses:
            raise LeadershipLost("not any more")


class RunnerConversations:
    """See the module."""

    @pytest.fixture
    def playground(self) -> Playground:
        raise NotImplementedError("a subclass gives the environment: a fixture 'playground'")

    # -- create --------------------------------------------------------------------------------------------------------

    def test_a_created_run_carries_our_token_and_is_found_again(self, playground: Playground) -> None:
        request = create(playground.quick, date=some_date())
        run = happened(start(playground.runner, request))
        assert (run.dag_id, run.run_id, run.token) == (request.dag_id, request.run_id, request.token)
        assert run.logical_date == request.logical_date
        assert run.queued_at is not None, "without it, its attempts cannot be told apart"
        assert run.queued_at.tzinfo is not None
        assert is_same_attempt(happened(playground.runner.ask(request)), run)

    def test_a_partition_that_is_no_date_gets_a_run_without_a_logical_date(self, playground: Playground) -> None:
        run = happened(start(playground.runner, create(playground.quick)))
        assert (run.logical_date is None) is playground.keeps_dates

    def test_asking_about_a_request_that_was_never_sent(self, playground: Playground) -> None:
        assert isinstance(playground.runner.ask(create(playground.quick)), NotHappened)

    def test_the_same_request_again_is_the_same_run(self, playground: Playground) -> None:
        request = create(playground.quick, date=some_date())
        first = happened(start(playground.runner, request))
        assert is_same_attempt(happened(start(playground.runner, request)), first)

    def test_a_successor_finds_the_run(self, playground: Playground) -> None:
        request = create(playground.quick, date=some_date())
        first = happened(start(playground.runner, request))
        with closing(playground.another()) as successor:
            for outcome in (successor.ask(request), successor.start(request)):
                assert is_same_attempt(happened(outcome), first)

    def test_identical_requests_at_once_make_one_run(self, playground: Playground) -> None:
        """A frozen leader and its successor."""
        request = create(playground.slow, date=some_date())
        together = threading.Barrier(playground.at_once)

        def meet_and_start(_: int) -> Outcome:
            together.wait(10)
            return start(playground.runner, request)

        with ThreadPoolExecutor(playground.at_once) as pool:
            outcomes = list(pool.map(meet_and_start, range(playground.at_once)))
        first, *others = sorted(map(happened, outcomes), key=lambda run: not run.is_estimated)
        assert all(is_same_attempt(one, first) for one in others)

    def test_our_run_id_with_another_token_is_from_another_life(self, playground: Playground) -> None:
        request = create(playground.quick, date=some_date())
        run = happened(start(playground.runner, request))
        later = create(playground.quick, date=request.logical_date)
        for outcome in (start(playground.runner, later), playground.runner.ask(later)):
            assert isinstance(outcome, Foreign), outcome
            assert (outcome.run.run_id, outcome.run.token) == (run.run_id, request.token)

    def test_an_unknown_pipeline_is_refused(self, playground: Playground) -> None:
        for request in (create(UNKNOWN), create(UNKNOWN, date=some_date())):
            outcome = start(playground.runner, request)
            assert isinstance(outcome, Refused), outcome
            assert outcome.status == 404
            assert UNKNOWN in outcome.answer

    # -- clear ---------------------------------------------------------------------------------------------------------

    def test_a_clear_makes_a_new_attempt_of_the_same_run(self, playground: Playground) -> None:
        runner = playground.runner
        run = happened(start(runner, create(playground.quick, date=some_date())))
        ended = wait_for(runner, run, State.SUCCESS)
        request = clear(ended)
        assert isinstance(runner.ask(request), NotHappened)
        cleared = happened(start(runner, request))
        assert cleared.queued_at is not None
        assert run.queued_at is not None
        assert cleared.queued_at > run.queued_at
        assert (cleared.run_id, cleared.logical_date, cleared.token) == (run.run_id, run.logical_date, run.token)
        assert is_same_attempt(happened(runner.ask(request)), cleared)
        assert is_same_attempt(wait_for(runner, run, State.SUCCESS), cleared)

    def test_a_run_to_be_cleared_that_was_deleted_is_known_to_be_missing(self, playground: Playground) -> None:
        gone = ObservedRun(playground.quick, f"gone_{uuid.uuid4().hex}", State.SUCCESS, some_date())
        for outcome in (playground.runner.start(clear(gone)), playground.runner.ask(clear(gone))):
            assert isinstance(outcome, NotHappened), outcome
            assert outcome.run_missing

    def test_a_run_to_be_cleared_whose_pipeline_is_gone_is_refused(self, playground: Playground) -> None:
        gone = ObservedRun(UNKNOWN, "gone", State.SUCCESS, some_date())
        for outcome in (playground.runner.start(clear(gone)), playground.runner.ask(clear(gone))):
            assert isinstance(outcome, Refused), outcome
            assert outcome.status == 404

    # -- how runs end --------------------------------------------------------------------------------------------------

    def test_a_run_that_fails_is_seen_to_fail(self, playground: Playground) -> None:
        if playground.failing is not None:
            run = happened(start(playground.runner, create(playground.failing, date=some_date())))
            assert is_same_attempt(wait_for(playground.runner, run, State.FAILED), run)

    # -- stopping ------------------------------------------------------------------------------------------------------

    def test_a_stop_ends_that_attempt_and_no_other(self, playground: Playground) -> None:
        runner = playground.runner
        run = happened(start(runner, create(playground.slow, date=some_date())))
        ref = RunRef(run.dag_id, run.run_id)
        if not playground.stops:
            assert isinstance(runner.stop(ref, before=run.queued_at), Refused)
            return
        running = wait_for(runner, run, State.RUNNING)
        assert running.queued_at is not None
        before = running.queued_at - timedelta(seconds=1)
        assert isinstance(runner.stop(ref, before=before, permit=Permits()), NotHappened)
        with pytest.raises(LeadershipLost):
            runner.stop(ref, before=running.queued_at, permit=Permits(refuses=True))
        now = seen(runner, run)
        assert now is not None
        assert now.state is State.RUNNING
        permits = Permits()
        assert is_same_attempt(happened(runner.stop(ref, before=running.queued_at, permit=permits)), running)
        assert permits.asked
        stopped = wait_for(runner, run, State.FAILED)
        assert is_same_attempt(stopped, running)
        with closing(playground.another()) as successor:  # which does not know of it, and asks again
            permits = Permits()
            again = happened(successor.stop(ref, before=running.queued_at, permit=permits))
        assert (again.state, permits.asked) == (State.FAILED, [])

    def test_what_has_ended_or_is_not_there_is_not_stopped(self, playground: Playground) -> None:
        runner = playground.runner
        if not playground.stops:
            return
        run = wait_for(runner, happened(start(runner, create(playground.quick, date=some_date()))), State.SUCCESS)
        assert happened(runner.stop(RunRef(run.dag_id, run.run_id), before=run.queued_at)).state is State.SUCCESS
        now = seen(runner, run)
        assert now is not None
        assert now.state is State.SUCCESS
        outcome = runner.stop(RunRef(run.dag_id, f"gone_{uuid.uuid4().hex}"), before=run.queued_at)
        assert isinstance(outcome, NotHappened), outcome
        assert outcome.run_missing

    # -- the permit ----------------------------------------------------------------------------------------------------

    def test_the_permit_is_asked_with_what_is_left_of_the_time(self, playground: Playground) -> None:
        permits = Permits()
        happened(start(playground.runner, create(playground.quick), permit=permits))
        assert permits.asked
        assert all(0 < left <= 3600 for left in permits.asked)

    def test_what_is_not_permitted_does_not_happen(self, playground: Playground) -> None:
        runner = playground.runner
        request = create(playground.quick, date=some_date())
        with pytest.raises(LeadershipLost):
            runner.start(request, permit=Permits(refuses=True))
        assert isinstance(runner.ask(request), NotHappened)
        run = wait_for(runner, happened(start(runner, request)), State.SUCCESS)
        with pytest.raises(LeadershipLost):
            runner.start(clear(run), permit=Permits(refuses=True))
        now = seen(runner, run)
        assert now is not None
        assert is_same_attempt(now, run)

    # -- looks ---------------------------------------------------------------------------------------------------------

    def test_no_name_leads_elsewhere(self, playground: Playground) -> None:
        """``..`` and ``/`` would name another run, or the pipeline itself."""
        runner = playground.runner
        victim = happened(start(runner, create(playground.quick)))
        for run_id in ("..", ".", f"x/../{victim.run_id}", "", f"{victim.run_id}/clear?", f"{victim.run_id}?x=#"):
            request = replace(clear(victim), run_id=run_id)
            assert isinstance(runner.start(request), Refused | NotHappened), run_id
            ref = RunRef(victim.dag_id, run_id)
            assert runner.look([ref], timeout=10).runs == {ref: None}
        assert is_same_attempt(wait_for(runner, victim, State.SUCCESS), victim)

    def test_a_look_tells_runs_with_similar_names_apart(self, playground: Playground) -> None:
        """Prefixes, wildcards of SQL and other cases: ``x_1`` is not ``xa1``, ``x__1`` not ``x__10``, ``X`` not
        ``x``."""
        stem = uuid.uuid4().hex
        there = [f"{stem}_x_1", f"{stem}_x__10", f"{stem}_X__2", f"{stem}_x__9."]
        similar = ("_xa1", "_x__1", "_x__2", "_x__9", "_x%1", "|x", " ", "")
        for run_id in there:
            happened(start(playground.runner, create(playground.quick, run_id=run_id)))
        happened(start(playground.runner, create(playground.slow, run_id=there[0])))
        asked = [RunRef(playground.quick, run_id) for run_id in (*there, *(stem + ending for ending in similar))]
        found = playground.runner.look(asked, timeout=10).runs
        assert set(found) == set(asked)
        assert {ref.run_id for ref, run in found.items() if run is not None} == set(there)
        assert all(run is None or (run.dag_id, run.run_id) == ref for ref, run in found.items())

    def test_a_look_over_several_pipelines_does_not_mix_their_runs(self, playground: Playground) -> None:
        run_id = f"both_{uuid.uuid4().hex}"
        quick = happened(start(playground.runner, create(playground.quick, run_id=run_id)))
        refs = [RunRef(name, run_id) for name in (playground.quick, playground.slow, UNKNOWN)]
        found = playground.runner.look(refs, timeout=10).runs
        there = found[refs[0]]
        assert there is not None
        assert there.token == quick.token
        assert found[refs[1]] is None
        assert found[refs[2]] is None

    def test_asking_which_runs_have_changed_raises_nothing(self, playground: Playground) -> None:
        changed = playground.runner.changed_runs(None, place=BEGINNING, timeout=10)
        assert (changed.made_at is None) is (changed.error is not None)

    # -- doctor --------------------------------------------------------------------------------------------------------

    def test_a_check_finds_what_is_missing(self, playground: Playground) -> None:
        report = playground.runner.check([playground.quick, UNKNOWN, playground.slow, "a|b", "x/y"])
        assert report.problem is None
        assert report.missing_dags == (UNKNOWN, "a|b", "x/y")
        assert report.says_dags
