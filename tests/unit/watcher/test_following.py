"""Runs are followed until nobody needs it, ever more rarely, and a cleared run is followed anew."""

from datetime import UTC, datetime

from coordinator.model.references import PipelineRef, Target
from coordinator.runners.port import RunRef
from coordinator.watcher.following import FollowedRun, Following

TARGET = Target(PipelineRef("default", "d"), "p")
RUN = FollowedRun(RunRef("d", "r"), datetime(2026, 11, 20, tzinfo=UTC))
CLEARED = FollowedRun(RunRef("d", "r"), datetime(2026, 11, 21, tzinfo=UTC))


def asked_at(following: Following, *, until: float) -> list[float]:
    times = []
    while (now := following.next_at()) is not None and now <= until:
        times += [now for _ in following.due(now)]
    return times


def test_the_pauses_grow_to_a_limit() -> None:
    following = Following(every=5.0)
    following.want(TARGET, RUN, now=0.0)
    times = asked_at(following, until=1000.0)
    pauses = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    assert pauses[0] == 5.0
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60.0


def test_wanting_it_again_changes_nothing_but_a_clear_does() -> None:
    following = Following(every=5.0)
    following.want(TARGET, RUN, now=0.0)
    asked_at(following, until=75.0)
    following.want(TARGET, RUN, now=75.0)
    assert asked_at(following, until=81.0) == []
    following.want(TARGET, CLEARED, now=81.0)
    assert asked_at(following, until=87.0) == [86.0]


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
