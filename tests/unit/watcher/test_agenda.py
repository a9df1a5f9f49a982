"""The agenda: each target once, in the order in which it came, and light however long it gets."""

from __future__ import annotations

from coordinator.model.decide import Decision
from coordinator.model.references import PipelineRef, Target
from coordinator.model.view import Standing
from coordinator.watcher.agenda import KEPT, Agenda


def _targets(count: int) -> list[Target]:
    return [Target(PipelineRef("default", "d"), str(number)) for number in range(count)]


def test_what_came_first_is_examined_first_and_once() -> None:
    agenda, (one, two, three) = Agenda(), _targets(3)
    for target in (one, two, one, three):
        agenda.now(target)
    assert [target for target, _ in agenda.take()] == [one, two, three]
    assert not agenda


def test_entries_may_be_added_while_it_is_gone_through() -> None:
    agenda, (one, two) = Agenda(), _targets(2)
    agenda.now(one)
    taken = []
    for target, _ in agenda.take():
        taken.append(target)
        if target == one:
            agenda.now(two)
    assert taken == [one, two]


def test_a_decision_comes_with_its_target_and_the_newest_counts() -> None:
    agenda, (target,) = Agenda(), _targets(1)
    older, newer = Decision(target, Standing.SETTLED), Decision(target, Standing.BUSY)
    agenda.now(target, older)
    agenda.now(target, newer)
    assert list(agenda.take()) == [(target, newer)]


def test_behind_a_long_queue_no_decisions_are_kept() -> None:
    agenda = Agenda()
    for target in _targets(KEPT + 10):
        agenda.now(target, Decision(target, Standing.BUSY))
    kept = [decision is not None for _, decision in agenda.take()]
    assert kept == [True] * KEPT + [False] * 10


def test_a_decision_that_is_no_longer_kept_does_not_leave_an_older_one_in_its_place() -> None:
    agenda, targets = Agenda(), _targets(KEPT)
    for target in targets:
        agenda.now(target, Decision(target, Standing.BUSY))
    agenda.now(targets[0], Decision(targets[0], Standing.SETTLED))
    assert dict(agenda.take())[targets[0]] is None
