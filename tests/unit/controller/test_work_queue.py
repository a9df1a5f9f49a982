"""The work queue: each target once, in the order in which it came, and light however long it gets."""

from __future__ import annotations

import pytest

from coordinator.controller.queue.work_queue import KEPT, SHARE, Priority, WorkQueue
from coordinator.model.decide import Decision
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import Readiness

ALL = 10_000


def _targets(count: int) -> list[Target]:
    return [Target(PipelineRef("default", "d"), str(number)) for number in range(count)]


def test_what_came_first_is_examined_first_and_once() -> None:
    queue, (one, two, three) = WorkQueue(), _targets(3)
    for target in (one, two, one, three):
        queue.add(target)
    assert [target for target, _ in queue.take(ALL)] == [one, two, three]
    assert not queue


def test_entries_may_be_added_while_it_is_gone_through() -> None:
    queue, (one, two) = WorkQueue(), _targets(2)
    queue.add(one)
    taken = []
    for target, _ in queue.take(ALL):
        taken.append(target)
        if target == one:
            queue.add(two)
    assert taken == [one, two]


def test_a_decision_comes_with_its_target_and_the_newest_counts() -> None:
    queue, (target,) = WorkQueue(), _targets(1)
    older, newer = Decision(target, Readiness.SETTLED), Decision(target, Readiness.BUSY)
    queue.add(target, decision=older)
    queue.add(target, decision=newer)
    assert list(queue.take(ALL)) == [(target, newer)]


def test_a_decision_is_kept_for_who_asks_again_without_one_until_it_is_outdated() -> None:
    queue, (target,) = WorkQueue(), _targets(1)
    decision = Decision(target, Readiness.BUSY)
    queue.keep(decision)
    assert not queue
    queue.add(target)
    queue.add(target)
    assert list(queue.take(ALL)) == [(target, decision)]
    queue.add(target)
    assert list(queue.take(ALL)) == [(target, None)], "who has taken it keeps it, or it is made again"
    queue.keep(decision)
    queue.outdate(target)
    queue.add(target)
    assert list(queue.take(ALL)) == [(target, None)]


def test_behind_a_long_queue_no_decisions_are_kept() -> None:
    queue = WorkQueue()
    for target in _targets(KEPT + 10):
        queue.add(target, decision=Decision(target, Readiness.BUSY))
    kept = [decision is not None for _, decision in queue.take(ALL)]
    assert kept == [True] * KEPT + [False] * 10


def test_a_newer_decision_takes_the_place_of_an_older_one_also_where_there_is_no_room_for_more() -> None:
    queue, targets = WorkQueue(), _targets(KEPT)
    for target in targets:
        queue.add(target, decision=Decision(target, Readiness.BUSY))
    newest = Decision(targets[0], Readiness.SETTLED)
    queue.add(targets[0], decision=newest)
    assert dict(queue.take(ALL))[targets[0]] is newest


@pytest.mark.promise("slow")
def test_what_is_live_comes_before_catching_up_and_does_not_starve_it() -> None:
    queue, targets = WorkQueue(), _targets(4 * SHARE)
    old, fresh = targets[:SHARE], targets[SHARE:]
    for target in old:
        queue.add(target, Priority.CATCHUP)
    for target in fresh:
        queue.add(target)
    taken = [target for target, _ in queue.take(2 * SHARE)]
    assert [target in old for target in taken] == ([False] * (SHARE - 1) + [True]) * 2
    assert [target for target in taken if target in old] == old[:2]
    assert len(list(queue.take(ALL))) == len(targets) - len(taken), "nothing is lost"


@pytest.mark.promise("slow")
def test_small_pieces_give_the_backlog_its_share_too() -> None:
    queue, targets = WorkQueue(), _targets(10 * SHARE)
    queue.add(targets[0], Priority.CATCHUP)
    for target in targets[1:]:
        queue.add(target)
    taken = [target for _ in range(SHARE) for target, _ in queue.take(1)]
    assert targets[0] in taken


def test_what_happens_to_a_target_of_the_backlog_brings_it_forward_and_not_back() -> None:
    queue, (one, two, three) = WorkQueue(), _targets(3)
    for target in (one, two, three):
        queue.add(target, Priority.CATCHUP)
    queue.add(three)
    queue.add(three, Priority.CATCHUP)
    assert [target for target, _ in queue.take(ALL)] == [three, one, two]


def test_what_can_wait_for_its_time_comes_as_backlog() -> None:
    queue, (one, two, three) = WorkQueue(), _targets(3)
    queue.add(one, Priority.CATCHUP, after=1.0)
    queue.add(two, after=1.0)
    queue.add(three, after=2.0)
    queue.pass_time(1.0)
    assert [target for target, _ in queue.take(ALL)] == [two, one]
    assert queue.next_at() == 2.0


def test_who_asks_for_the_same_moment_again_and_again_is_there_once() -> None:
    queue, (target,) = WorkQueue(), _targets(1)
    for _ in range(1000):
        queue.add(target, after=5.0)
        queue.add(target, after_revision=7)
    assert list(queue.waiting()) == [target]
    assert len(queue) == 2


def test_what_of_the_backlog_has_been_waited_for_comes_first_there_and_not_before_what_is_fresh() -> None:
    queue, (one, two, three, fresh) = WorkQueue(), _targets(4)
    for target in (one, two):
        queue.add(target, Priority.CATCHUP)
    queue.add(three, Priority.CATCHUP, first=True)
    queue.add(fresh, first=True)
    assert [target for target, _ in queue.take(ALL)] == [fresh, three, one, two]


def test_a_moment_and_a_revision_of_the_same_number_are_two_things_to_wait_for() -> None:
    queue, (target,) = WorkQueue(), _targets(1)
    queue.add(target, after_revision=7)
    queue.add(target, after=7.0)
    queue.pass_time(7.0)
    assert [target for target, _ in queue.take(ALL)] == [target]
    queue.read(7)
    assert [target for target, _ in queue.take(ALL)] == [target]


def test_whose_moment_has_come_does_not_wait_with_the_backlog_in_which_it_is_named_too() -> None:
    queue, (one, fresh, patient) = WorkQueue(), _targets(3)
    for target in (one, fresh, patient):
        queue.add(target, Priority.CATCHUP)
    queue.add(fresh, after=1.0)
    queue.add(patient, Priority.CATCHUP, after=1.0)
    queue.pass_time(1.0)
    assert [target for target, _ in queue.take(ALL)] == [fresh, one, patient]
