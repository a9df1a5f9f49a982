"""Runs are followed until nobody needs it, ever more rarely, and a cleared run is followed again."""

import heapq
from datetime import UTC, datetime
from unittest.mock import patch

import pytest

from coordinator.controller.reconcile.following import PATIENCE, SPREAD, FollowedRun, Following
from coordinator.model.references import PipelineRef, Target
from coordinator.runners.port import RunRef

pytestmark = pytest.mark.promise("following")

TARGET = Target(PipelineRef("default", "d"), "p")
RUN = FollowedRun(RunRef("d", "r"), datetime(2026, 11, 20, tzinfo=UTC))
CLEARED = FollowedRun(RunRef("d", "r"), datetime(2026, 11, 21, tzinfo=UTC))


def asked_at(following: Following, *, until: float) -> list[float]:
    times = []
    while (now := following.next_at()) is not None and now <= until:
        times += [now for _ in following.due(now, 10)]
    return times


def test_the_pauses_grow_to_a_limit() -> None:
    following = Following(every=5.0)
    following.want(TARGET, RUN, now=0.0)
    times = asked_at(following, until=1000.0)
    pauses = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    assert pauses[0] == 5.0
    assert pauses[1:] == pytest.approx(sorted(pauses[1:]))
    assert (1 - SPREAD) * 5.0 * PATIENCE <= pauses[-1] <= 5.0 * PATIENCE


def test_wanting_it_again_changes_nothing_but_a_clear_does() -> None:
    following = Following(every=5.0)
    following.want(TARGET, RUN, now=0.0)
    asked_at(following, until=75.0)
    following.want(TARGET, RUN, now=75.0)
    next_at = following.next_at()
    assert next_at is not None
    assert next_at > 80.0, "not again"
    following.want(TARGET, CLEARED, now=next_at - 6.0)
    assert asked_at(following, until=next_at) == [next_at - 1.0]


def test_what_is_not_wanted_is_not_asked_about() -> None:
    following = Following(every=5.0)
    following.want(TARGET, RUN, now=0.0)
    following.want(TARGET, None, now=1.0)
    assert asked_at(following, until=100.0) == []


def test_an_end_is_new_once() -> None:
    following = Following(every=5.0)
    following.want(TARGET, RUN, now=0.0)
    assert not following.end_seen(TARGET)
    assert following.end_seen(TARGET)
    following.want(TARGET, CLEARED, now=1.0)
    assert not following.end_seen(TARGET)


def many(count: int) -> Following:
    following = Following(every=5.0)
    for number in range(count):
        target = Target(PipelineRef("default", "d"), str(number))
        following.want(target, FollowedRun(RunRef("d", f"run {number}"), None), now=0.0)
    return following


def test_no_more_are_handed_out_than_asked_for_and_the_others_stay_due() -> None:
    following = many(25)
    handed_out = []
    while (next_at := following.next_at()) is not None and next_at <= 6.0:
        some = following.due(6.0, 10)
        assert 0 < len(some) <= 10
        handed_out += [int(target.partition) for target, _ in some]
    assert handed_out == list(range(25)), "first come, first asked, each once"


def test_runs_that_were_started_together_are_soon_asked_about_apart() -> None:
    """Else all of them would be asked about in one burst, and then nothing for a minute."""
    following = many(1000)
    now, per_second = 0.0, []
    while now < 600.0:
        now += 1.0
        per_second.append(len(following.due(now, 1000)))
    last_minute = per_second[-60:]
    assert sum(last_minute) >= 1000
    assert max(last_minute) <= 4 * sum(last_minute) / 60


def test_when_to_ask_does_not_depend_on_the_process() -> None:
    first, second = many(50), many(50)
    for now in (5.0, 10.0, 15.0, 30.0):
        assert first.due(now, 50) == second.due(now, 50)
        assert first.next_at() == second.next_at()


def test_what_is_dropped_leaves_nothing_behind() -> None:
    following = many(3)
    for number in range(3):
        following.want(Target(PipelineRef("default", "d"), str(number)), None, now=1.0)
    assert (following.next_at(), following.due(100.0, 10)) == (None, [])


def test_what_is_not_due_is_not_looked_at() -> None:
    """Counted, for time is no witness: as many runs are taken up as are asked about, however many are followed."""
    for count in (100, 10_000):
        following = many(count)
        following.due(5.0, count)
        with patch.object(heapq, "heappop", wraps=heapq.heappop) as taken:
            for step in range(100):
                following.due(6.0 + step / 1000, 10)
        assert taken.call_count == 0
        with patch.object(heapq, "heappop", wraps=heapq.heappop) as taken:
            assert len(following.due(1000.0, 10)) == 10
        assert taken.call_count == 10
