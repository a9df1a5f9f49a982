"""A leader that stands still at any point of its work, is replaced, and wakes up: it writes nothing and sends nothing.

Real processes, each of which stops itself (SIGSTOP) at the point in question; see ``stopping``. The points follow
docs/architecture.md#request: look, intent, check of the lease, request, answer, outcome, end; and what else a leader
writes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.config.retention import RetentionSettings
from coordinator.store.embedded import EmbeddedEtcd
from tests.integration.controller.taking_turns import BELOW, CHAIN, LIMIT, Stage, Stoppable
from tests.integration.controller.waiting import until

WORLDS = 4
"""Played at once: most of the time they wait for leases to end."""

Play = Callable[[Stage, str], None]


@dataclass(frozen=True)
class Point:
    """:ivar play: what leads there, and what must be seen."""

    name: str
    play: Play

    def __str__(self) -> str:
        return self.name


def _stop(stage: Stage, point: str, provoke: Callable[[], None]) -> tuple[Stoppable, Stoppable]:
    """Let the leader stop there. :returns: who stands still, and who leads in its place."""
    leader, successor = stage.roles()
    leader.stop_at(point)
    provoke()
    until(leader.is_stopped, f"it reaches the point {point!r}", limit=LIMIT)
    until(successor.leads, "the other leads", limit=LIMIT)
    return leader, successor


def _wake(stage: Stage, woken: Stoppable, *, ignored: tuple[str, ...] = ()) -> None:
    """Let it go on, and see that it does nothing."""
    revision, sent = stage.world.store.list(stage.world.keys.root).revision, stage.sent()
    woken.service.thaw()
    until(woken.follows, "it has found out that it does not lead", limit=LIMIT)
    until(lambda: _has_come_again(stage, woken, revision), "it says that it is there, on a new lease", limit=LIMIT)
    changes = [change for change in stage.changes_since(revision) if change.key not in ignored]
    assert changes == [], f"the woken one wrote: {[change.key for change in changes]}"
    assert stage.sent() == sent, "the woken one sent a request"
    assert "Traceback" not in woken.service.log()


def _has_come_again(stage: Stage, woken: Stoppable, revision: int) -> bool:
    presence = stage.world.store.get(stage.world.keys.watcher(woken.service.watcher_id))
    return presence is not None and presence.mod_revision > revision


def in_a_wave(stage: Stage, point: str) -> None:
    before = stage.counts()
    woken, _ = _stop(stage, point, stage.wave)
    stage.until_ran(before)
    _wake(stage, woken)
    assert stage.counts() == {name: runs + 1 for name, runs in before.items()}


def on_an_order(stage: Stage, point: str) -> None:
    """A person orders R to run again."""
    before = stage.counts()
    stage.world.by_itself("R")
    woken, _ = _stop(stage, point, lambda: stage.world.order("R", "rerun"))
    stage.until_ran(before)
    stage.world.by_hand("R")
    _wake(stage, woken)
    assert stage.counts() == {name: runs + 1 for name, runs in before.items()}


def at_rest(stage: Stage, point: str) -> None:
    woken, _ = _stop(stage, point, lambda: None)
    before = stage.counts()
    stage.wave()
    stage.until_ran(before)
    _wake(stage, woken)
    assert stage.counts() == {name: runs + 1 for name, runs in before.items()}


def on_campaigning(stage: Stage, point: str) -> None:
    """The standby stops, while the leader stands still too; the leader comes back first."""
    leader, woken = stage.roles()
    woken.stop_at(point)
    leader.service.freeze()
    until(woken.is_stopped, f"it reaches the point {point!r}", limit=LIMIT)
    leader.service.thaw()
    until(leader.leads, "the first leads again", limit=LIMIT)
    before = stage.counts()
    stage.wave()
    stage.until_ran(before)
    _wake(stage, woken)
    assert stage.counts() == {name: runs + 1 for name, runs in before.items()}


def on_publishing(stage: Stage, point: str) -> None:
    changed = {**CHAIN, "A": {"upstream": "R", "conf": {"point": point}}}
    key = stage.world.keys.dependencies("default")
    published = stage.world.store.get(key)
    assert published is not None
    woken, _ = _stop(stage, point, lambda: stage.world.dependencies(changed))

    def is_published() -> bool:
        found = stage.world.store.get(key)
        return found is not None and point.encode() in found.value and found.mod_revision > published.mod_revision

    until(is_published, "the file is published", limit=LIMIT)
    _wake(stage, woken)


def on_sweeping(stage: Stage, point: str) -> None:
    """Every second a sweep removes all partitions but the newest one."""
    world = stage.world
    stage.partitions += 2
    partitions = [f"2026-12-{stage.partitions + day:02}T00:00:00Z" for day in (1, 2)]

    def complete() -> None:
        for partition in partitions:
            world.complete("R", partition=partition)
            world.until_done(*BELOW, partition=partition, runs=1)

    woken, _ = _stop(stage, point, complete)
    world.until_done(*BELOW, partition=partitions[-1], runs=1)

    def is_removed() -> bool:
        """Of the source too, which goes last."""
        return not any(partitions[0] in item.key for item in world.store.list(world.keys.root).items)

    until(is_removed, "the older one is removed", limit=LIMIT)
    swept = len(woken.service.events("retention.swept"))
    _wake(stage, woken, ignored=(world.keys.retention,))  # that is the successor's: it sweeps every second
    assert len(woken.service.events("retention.swept")) == swept


def on_following(stage: Stage, point: str) -> None:
    """B's environment never reports: what its runs do is seen through the REST API, and written on their behalf."""
    stage.world.silence("team_b")
    in_a_wave(stage, point)


def _each(kind: str, play: Play, *phases: str) -> list[Point]:
    return [Point(f"{kind}: {phase}", play) for phase in phases]


POINTS = [
    *_each("look", in_a_wave, "about to begin", "sent", "answered", "taken in"),
    *_each("intent", in_a_wave, "before", "applied", "after"),
    *_each("start", in_a_wave, "about to check the lease", "about to begin", "connected", "permitted"),
    *_each("start", in_a_wave, "sent", "answered", "taken in"),
    *_each("sent", in_a_wave, "before", "applied", "after"),
    *_each("done", in_a_wave, "before", "applied", "after"),
    *_each("keep-alive", at_rest, "before", "after"),
    *_each("leader", on_campaigning, "before", "applied", "after"),
    *_each("dependencies", on_publishing, "before", "applied", "after"),
    *_each("sweep", on_sweeping, "before", "applied", "after"),
    *_each("state", on_following, "before", "applied", "after"),
    *[Point(f"intent: {phase} ", on_an_order) for phase in ("before", "applied")],
]

KEEP_TWO = RetentionSettings(max_partitions=1, min_age=timedelta(), every=timedelta(seconds=1))


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, etcd_server: EmbeddedEtcd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Point, Future[None]]]:
    """All points that are asked for, played in a few worlds at once."""
    asked_for = {
        item.callspec.params["point"]  # type: ignore[attr-defined]
        for item in request.session.items
        if item.path == request.node.path and "point" in getattr(getattr(item, "callspec", None), "params", {})
    }
    wanted = [point for point in POINTS if point in asked_for]
    directory = tmp_path_factory.mktemp("woken")
    special = {on_sweeping, on_following}
    usual = [point for point in wanted if point.play not in special]
    groups = [usual[start::WORLDS] for start in range(WORLDS)]
    groups += [[point for point in wanted if point.play is play] for play in special]
    results: dict[Point, Future[None]] = {point: Future() for point in wanted}

    def play(number: int, points: list[Point]) -> None:
        etcd = EtcdSettings(endpoints=[etcd_server.endpoint], prefix=f"/woken-{uuid.uuid4().hex}")
        retention = KEEP_TWO if points[0].play is on_sweeping else None
        try:
            with Stage(etcd, directory / str(number), retention=retention) as stage:
                for point in points:
                    try:
                        point.play(stage, point.name.strip())
                    except BaseException as error:
                        results[point].set_exception(error)
                        raise  # what it has left behind would be taken for the next one's fault
                    else:
                        results[point].set_result(None)
        except BaseException as error:  # noqa: BLE001 - it is shown by the tests of all points of this world
            for point in points:
                if not results[point].done():
                    results[point].set_exception(AssertionError(f"not played, for an earlier one failed: {error}"))

    with ThreadPoolExecutor(WORLDS) as pool:
        for number, points in enumerate(group for group in groups if group):
            pool.submit(play, number, points)
        yield results


@pytest.mark.promise("leader-only")
@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_leader_that_wakes_up_writes_nothing_and_sends_nothing(
    played: dict[Point, Future[None]], point: Point
) -> None:
    """Real processes, stopped at 36 points: from the look to the outcome, the keep-alive, the campaign, publishing,
    sweeping. What etcd and the Airflows got after each was woken is compared."""
    played[point].result(timeout=280)
