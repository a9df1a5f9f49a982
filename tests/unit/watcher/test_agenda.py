"""The agenda: each target once, in the order in which it came, and light however long it gets."""

from __future__ import annotations

from coordinator.model.decide import Decision
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import Standing
from coordinator.watcher.agenda import KEPT, SHARE, Agenda

ALL = 10_000


def _targets(count: int) -> list[Target]:
    return [Target(PipelineRef("default", "d"), str(number)) for number in range(count)]


def test_what_came_first_is_examined_first_and_once() -> None:
    agenda, (one, two, three) = Agenda(), _targets(3)
    for target in (one, two, one, three):
        agenda.now(target)
    assert [target for target, _ in agenda.take(ALL)] == [one, two, three]
    assert not agenda


def test_entries_may_be_added_while_it_is_gone_through() -> None:
    agenda, (one, two) = Agenda(), _targets(2)
    agenda.now(one)
    taken = []
    for target, _ in agenda.take(ALL):
        taken.append(target)
        if target == one:
            agenda.now(two)
    assert taken == [one, two]


def test_a_decision_comes_with_its_target_and_the_newest_counts() -> None:
    agenda, (target,) = Agenda(), _targets(1)
    older, newer = Decision(target, Standing.SETTLED), Decision(target, Standing.BUSY)
    agenda.now(target, older)
    agenda.now(target, newer)
    assert list(agenda.take(ALL)) == [(target, newer)]


def test_behind_a_long_queue_no_decisions_are_kept() -> None:
    agenda = Agenda()
    for target in _targets(KEPT + 10):
        agenda.now(target, Decision(target, Standing.BUSY))
    kept = [decision is not None for _, decision in agenda.take(ALL)]
    assert kept == [True] * KEPT + [False] * 10


def test_a_decision_that_is_no_longer_kept_does_not_leave_an_older_one_in_its_place() -> None:
    agenda, targets = Agenda(), _targets(KEPT)
    for target in targets:
        agenda.now(target, Decision(target, Standing.BUSY))
    agenda.now(targets[0], Decision(targets[0], Standing.SETTLED))
    assert dict(agenda.take(ALL))[targets[0]] is None


def test_what_is_fresh_comes_before_the_backlog_and_does_not_starve_it() -> None:
    agenda, targets = Agenda(), _targets(4 * SHARE)
    old, fresh = targets[:SHARE], targets[SHARE:]
    for target in old:
        agenda.backlog(target)
    for target in fresh:
        agenda.now(target)
    taken = [target for target, _ in agenda.take(2 * SHARE)]
    assert [target in old for target in taken] == ([False] * (SHARE - 1) + [True]) * 2
    assert [target for target in taken if target in old] == old[:2]
    assert len(list(agenda.take(ALL))) == len(targets) - len(taken), "nothing is lost"


def test_small_pieces_give_the_backlog_its_share_too() -> None:
    agenda, targets = Agenda(), _targets(10 * SHARE)
    agenda.backlog(targets[0])
    for target in targets[1:]:
        agenda.now(target)
    taken = [target for _ in range(SHARE) for target, _ in agenda.take(1)]
    assert targets[0] in taken


def test_what_happens_to_a_target_of_the_backlog_brings_it_forward_and_not_back() -> None:
    agenda, (one, two, three) = Agenda(), _targets(3)
    for target in (one, two, three):
        agenda.backlog(target)
    agenda.now(three)
    agenda.backlog(three)
    assert [target for target, _ in agenda.take(ALL)] == [three, one, two]


def test_what_can_wait_for_its_time_comes_as_backlog() -> None:
    agenda, (one, two, three) = Agenda(), _targets(3)
    agenda.at(1.0, one, patient=True)
    agenda.at(1.0, two)
    agenda.at(2.0, three)
    agenda.pass_time(1.0)
    assert [target for target, _ in agenda.take(ALL)] == [two, one]
    assert agenda.next_at() == 2.0


def test_who_asks_for_the_same_moment_again_and_again_is_there_once() -> None:
    agenda, (target,) = Agenda(), _targets(1)
    for _ in range(1000):
        agenda.at(5.0, target)
        agenda.once_read(7, [target])
    assert list(agenda.waiting()) == [target]
    assert agenda.size() == 2


def test_what_of_the_backlog_has_been_waited_for_comes_first_there_and_not_before_what_is_fresh() -> None:
    agenda, (one, two, three, fresh) = Agenda(), _targets(4)
    for target in (one, two):
        agenda.backlog(target)
    agenda.resume(three, fresh=False)
    agenda.resume(fresh, fresh=True)
    assert [target for target, _ in agenda.take(ALL)] == [fresh, three, one, two]


def test_a_moment_and_a_revision_of_the_same_number_are_two_things_to_wait_for() -> None:
    agenda, (target,) = Agenda(), _targets(1)
    agenda.once_read(7, [target])
    agenda.at(7.0, target)
    agenda.pass_time(7.0)
    assert [target for target, _ in agenda.take(ALL)] == [target]
    agenda.read(7)
    assert [target for target, _ in agenda.take(ALL)] == [target]


def test_whose_moment_has_come_does_not_wait_with_the_backlog_in_which_it_is_named_too() -> None:
    agenda, (one, fresh, patient) = Agenda(), _targets(3)
    for target in (one, fresh, patient):
        agenda.backlog(target)
    agenda.at(1.0, fresh)
    agenda.at(1.0, patient, patient=True)
    agenda.pass_time(1.0)
    assert [target for target, _ in agenda.take(ALL)] == [fresh, one, patient]
