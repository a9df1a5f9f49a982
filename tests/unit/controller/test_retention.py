"""What a sweep removes, what it leaves, and that it stands aside: on an etcd in memory, without a reconciler."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.commands.acts import Act, Signature, Verb, put_of
from coordinator.config.retention import RetentionSettings
from coordinator.controller.retention.removal import EVALUATED, LOOKED_AT
from coordinator.controller.retention.sweeper import RETRY, Sweeper
from coordinator.controller.state.cache import Cache
from coordinator.controller.state.revision_times import RevisionTimes
from coordinator.errors import LeadershipLost
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.documents import parse_document
from coordinator.model.graph import Graph
from coordinator.model.hold import Hold, dump_hold
from coordinator.model.order import GivenOrder, Order, dump_order
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.publishing.owners import merge
from coordinator.model.publishing.publication import dump_publication
from coordinator.model.publishing.resuming import Terms, publish
from coordinator.model.references import PipelineRef, Target
from coordinator.model.retention.sweep import HeldBack, Sweep, dump_sweep, read_sweep
from coordinator.model.retention.watermark import Watermark, dump_watermark
from coordinator.model.runstate import Attempt, RunState, RunStateDocument, State, Unreadable
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.port import Committed, Delete, Put, StoreUnavailable, Transaction

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=100)
LIMITS: Mapping[str, Any] = {"max_age": "90 days"}


class Clock:
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)


class Store(MemoryStore):
    """:ivar before: called before each transaction of a sweep."""

    def __init__(self, etcd: MemoryEtcd) -> None:
        super().__init__(etcd)
        self.before: Callable[[], None] = lambda: None

    def commit(self, transaction: Transaction) -> Committed:
        self.before()
        return super().commit(transaction)


class Scene:
    """An etcd, somebody who leads, and the sweeper."""

    def __init__(self, dependencies: Mapping[str, Any] | None = None, **limits: Any) -> None:
        self.keys, self.clock = Keys(), Clock()
        self.etcd = MemoryEtcd()
        self.others = MemoryStore(self.etcd)
        self.store = Store(self.etcd)
        self.term = self.put(self.keys.leader, b"me")
        document = publish(parse_document(json.dumps(dependencies or {}), source="test"), None, 0, Terms(NOW))
        self.put(self.keys.dependencies("default"), dump_publication(document))
        self.cache = Cache(self.keys)
        self.propagation = Propagation(Graph(), self.cache)
        self.sweeper = Sweeper(
            store=self.store,
            keys=self.keys,
            cache=self.cache,
            propagation=self.propagation,
            limits=RetentionSettings(**(limits or LIMITS)),
            clock=self.clock,
        )

    def put(self, key: str, value: bytes) -> int:
        return self.others.commit(Transaction((), (Put(key, value),))).revision

    def state(
        self, name: str, partition: str = "k", state: str = "success", at: datetime | None = LONG_AGO, **more: Any
    ) -> int:
        document = RunStateDocument(state=State(state), run_id="r", queued_at=at, observed_at=at, **more)
        return self.put(self.keys.state(_target(name, partition)), document.to_value())

    def record(
        self,
        name: str,
        partition: str = "k",
        status: Status = Status.DONE,
        *,
        attempt: datetime = LONG_AGO,
        when: datetime = LONG_AGO,
        **consumed: int,
    ) -> None:
        record = TriggerRecord(
            status=status,
            sequence=1,
            action=Action.CREATE,
            run_id="r",
            token="t",
            wave=1,
            attempt=attempt,
            when=when,
            consumed=Consumption.of(
                {
                    _target(upstream, partition): Consumed(revision, Attempt("r", LONG_AGO), State.SUCCESS)
                    for upstream, revision in consumed.items()
                }
            ),
        )
        self.put(self.keys.trigger(_target(name, partition)), dump_record(record))

    def read(self) -> None:
        """The watcher starts."""
        self.cache.replace(self.others.list(self.keys.root))
        self.stream = self.others.watch(self.keys.root, from_revision=self.cache.revision + 1)
        graph, problems = merge(self.cache.published)
        assert not problems
        self.propagation.replace_graph(graph, self.cache.targets())

    def follow(self) -> None:
        while (changes := self.stream.receive(0)) is not None:
            touched = self.cache.apply(changes, now=0.0, live=True)
            self.sweeper.note(touched.targets | touched.recorded)
            self.propagation.refresh(touched.targets, recorded=touched.recorded)

    def sweep(self) -> int:
        """One sweep, whole. :returns: the number of pieces."""
        self.read()
        pieces = 0
        while True:
            self.sweeper.step(self.clock.seconds, self.term)
            self.follow()
            pieces += 1
            assert pieces < 10_000
            if self.sweeper._work is None:
                return pieces

    def left(self, kind: str = "") -> set[str]:
        """What is left, as ``kind/dag_id/partition``."""
        root = self.keys.root
        names = (item.key.removeprefix(root).replace("/default/", "/") for item in self.others.list(root + kind).items)
        return {name for name in names if name.split("/")[0] in {"state", "trigger", "order"}}

    def swept(self) -> Sweep:
        item = self.others.get(self.keys.retention)
        assert item is not None
        sweep = read_sweep(item.value)
        assert isinstance(sweep, Sweep)
        return sweep


def _target(name: str, partition: str = "k") -> Target:
    return Target(PipelineRef("default", name), partition)


def chain(**limits: Any) -> Scene:
    """A -> D, long over, in one partition."""
    scene = Scene({"D": "A"}, **limits)
    scene.record("D", A=scene.state("A"))
    scene.state("D")
    return scene


def test_a_partition_that_is_over_goes_whole_and_leaves_the_watermarks_behind() -> None:
    scene = chain()
    consumed = scene.others.get(scene.keys.state(_target("A")))
    assert consumed is not None
    scene.sweep()
    assert scene.left() == set()
    assert scene.cache.watermark(PipelineRef("default", "D")) == Watermark(LONG_AGO, consumed.mod_revision)
    assert scene.cache.watermark(PipelineRef("default", "A")) == Watermark(LONG_AGO, 0)
    assert (scene.swept().removed, scene.swept().kept) == (2, 0)


@pytest.mark.parametrize(
    ("why", "happens"),
    [
        ("it runs", lambda scene: scene.state("D", state="running")),
        ("in flight", lambda scene: scene.record("D", status=Status.SENT, attempt=NOW - timedelta(days=99), A=3)),
        ("blocked", lambda scene: scene.record("D", status=Status.BLOCKED, A=3)),
        ("due", lambda scene: scene.state("A", at=LONG_AGO + timedelta(1))),
        ("its upstream runs", lambda scene: scene.state("A", state="running", at=LONG_AGO + timedelta(1))),
        ("its upstream failed", lambda scene: scene.state("A", state="failed", at=LONG_AGO + timedelta(1))),
        ("ordered", lambda scene: scene.put(scene.keys.order(_target("D")), dump_order(GivenOrder(Order.RERUN)))),
        ("unreadable state", lambda scene: scene.put(scene.keys.state(_target("D")), b"rubbish")),
        ("unreadable record", lambda scene: scene.put(scene.keys.trigger(_target("D")), b"rubbish")),
        (
            "unreadable watermark",
            lambda scene: scene.put(scene.keys.watermark(PipelineRef("default", "D")), b"rubbish"),
        ),
        ("too young", lambda scene: scene.state("D", at=NOW - timedelta(days=80))),
    ],
)
def test_what_is_not_over_stays_and_what_it_stands_on(why: str, happens: Callable[[Scene], object]) -> None:
    scene = chain()
    happens(scene)
    before = scene.left()
    scene.sweep()
    assert scene.left() == before, why
    assert scene.swept().removed == 0


def test_what_is_held_stays_only_where_something_waits() -> None:
    hold = dump_hold(Hold(why="a test"))
    resting, waiting = chain(), chain()
    waiting.state("A", at=LONG_AGO + timedelta(1))
    for scene in (resting, waiting):
        scene.put(scene.keys.hold(PipelineRef("default", "D")), hold)
        scene.sweep()
    assert resting.left() == set()
    assert waiting.left() == {"state/A/k", "state/D/k", "trigger/D/k"}
    assert waiting.swept().held_back[0] == HeldBack(_target("D"), "it is due, and held")


def test_a_persons_order_that_was_carried_out_goes_with_its_partition() -> None:
    scene = Scene({"D": "A"})
    given = GivenOrder(Order.RERUN, when=LONG_AGO)
    ordered = scene.put(scene.keys.order(_target("A")), dump_order(given))
    record = TriggerRecord(Status.DONE, 1, Action.CREATE, "r", "t", 1, attempt=LONG_AGO, when=LONG_AGO, order=ordered)
    scene.put(scene.keys.trigger(_target("A")), dump_record(record))
    scene.state("A", at=LONG_AGO)
    scene.put(scene.keys.dependencies("default"), dump_publication(publish({}, None, 0, Terms(NOW))))
    scene.sweep()
    assert scene.left() == set()


@pytest.mark.parametrize(("given_at", "goes"), [(LONG_AGO, True), (NOW, False)])
def test_a_release_in_advance_that_nobody_has_used_goes_with_its_partition_once_it_is_old(
    given_at: datetime, goes: bool
) -> None:
    scene = chain()
    scene.put(scene.keys.order(_target("D")), dump_order(GivenOrder(Order.RELEASE, when=given_at)))
    before = scene.left()
    scene.sweep()
    assert scene.left() == (set() if goes else before)


def test_the_watermark_stays_below_the_states_that_are_kept() -> None:
    """Of the older partition the record knows a later attempt than its state: the younger one's state lies between."""
    scene = Scene({"D": "A"})
    scene.record("D", "k1", attempt=LONG_AGO + timedelta(hours=2), A=scene.state("A", "k1"))
    scene.state("D", "k1")
    lately = RunStateDocument(state=State.SUCCESS, queued_at=LONG_AGO + timedelta(hours=1), observed_at=NOW)
    scene.put(scene.keys.state(_target("D", "k2")), lately.to_value())
    scene.sweep()
    assert {"state/D/k1", "trigger/D/k1", "state/D/k2"} <= scene.left()
    assert scene.cache.watermark(PipelineRef("default", "D")) is None


def test_the_newest_completion_that_latest_looks_at_is_never_removed() -> None:
    scene = Scene({"D": ["A", {"pipeline": "X", "partition": "latest", "trigger": False}]})
    scene.state("X", "k1")
    scene.state("X", "k2", at=LONG_AGO + timedelta(1))
    scene.sweep()
    assert scene.left() == {"state/X/k2"}


def test_the_newest_partition_of_what_looks_at_the_latest_is_never_removed() -> None:
    """Else an older one would be the newest, and be started by a completion that it has not consumed."""
    scene = Scene({"D": {"upstream": {"any": ["A", {"pipeline": "X", "partition": "latest"}]}}})
    for number, partition in enumerate(("k1", "k2")):
        at = LONG_AGO - timedelta(number)  # the newest partition ran first
        scene.record("D", partition, attempt=at, when=at, A=scene.state("A", partition, at=at))
        scene.state("D", partition, at=at)
    scene.sweep()
    assert {"state/D/k2", "trigger/D/k2", "state/A/k2"} <= scene.left()


def test_a_bare_word_is_as_old_as_what_was_decided_after_it() -> None:
    scene = Scene({"D": "A"})
    scene.put(scene.keys.state(_target("Z")), b"success")
    for number in range(600):  # revisions are told apart coarsely
        revision = scene.put(scene.keys.state(_target("A", f"k{number % 3}")), b"success")
    scene.record("D", "k2", A=revision)
    scene.put(scene.keys.state(_target("Y")), b"success")
    scene.read()
    scene.sweep()
    assert "state/Z/k" not in scene.left()
    assert "state/Y/k" in scene.left(), "it may have been put just now"


def test_of_many_the_oldest_go_and_none_that_was_active_within_min_age() -> None:
    at = [NOW - timedelta(hours=hours) for hours in (50, 40, 30, 20, 10)]
    for min_age, left in (("0 seconds", 2), ("25 hours", 2), ("35 hours", 3), ("2 days", 4)):
        scene = Scene(max_partitions=2, min_age=min_age)
        for number, queued_at in enumerate(at):
            scene.state("A", f"k{number}", at=queued_at)
        scene.sweep()
        assert scene.left() == {f"state/A/k{number}" for number in range(5 - left, 5)}, min_age


def test_a_state_that_slips_in_during_a_sweep_keeps_its_pipeline_as_it_is() -> None:
    scene = Scene(**LIMITS)
    scene.state("A", "k1")

    def slip_in() -> None:
        scene.store.before = lambda: None
        scene.state("A", "k2", at=LONG_AGO - timedelta(1))

    scene.store.before = slip_in
    scene.sweep()
    assert scene.left() == {"state/A/k1", "state/A/k2"}
    assert scene.cache.watermark(PipelineRef("default", "A")) is None
    scene.sweeper.clear()
    scene.put(scene.keys.retention, b"")
    scene.sweep()
    assert scene.left() == set()


def test_who_does_not_lead_removes_nothing() -> None:
    scene = chain()
    scene.read()
    scene.others.commit(Transaction((), (Delete(scene.keys.leader),)))
    scene.put(scene.keys.leader, b"another")
    before = scene.left()
    with pytest.raises(LeadershipLost):
        _steps(scene, 20)
    assert scene.left() == before


def _steps(scene: Scene, count: int) -> None:
    for _ in range(count):
        scene.sweeper.step(0.0, scene.term)


def test_an_interrupted_sweep_begins_again_after_a_while() -> None:
    scene = chain(every="10 minutes", **LIMITS)
    scene.read()

    def away() -> None:
        raise StoreUnavailable("a test")

    scene.store.before = away
    _steps(scene, 20)
    assert scene.sweeper.next_at(0.0) == RETRY
    scene.store.before = lambda: None
    scene.clock.seconds = RETRY
    scene.sweep()
    assert scene.left() == set()


def test_a_sweep_goes_in_small_pieces_and_waits_until_it_has_read_what_it_wrote() -> None:
    scene = Scene(**LIMITS)
    for number in range(500):
        scene.state("A", f"k{number}", at=LONG_AGO + timedelta(seconds=number))
    scene.read()
    most = 0
    for _ in range(200):
        before = len(scene.left())
        scene.sweeper.step(0.0, scene.term)
        removed = before - len(scene.left())
        most = max(most, removed)
        if removed:
            assert scene.sweeper.next_at(0.0) is None
            scene.sweeper.step(0.0, scene.term)
            assert len(scene.left()) == before - removed, "not before the watch has brought it back"
        scene.follow()
    assert (scene.left(), most) == (set(), EVALUATED)


def test_a_sweep_that_finds_nothing_goes_in_small_pieces_too() -> None:
    scene = Scene(**LIMITS)
    for number in range(1000):
        scene.state(f"p{number % 100}", f"k{number}", at=NOW)
    assert scene.sweep() >= 100 + 1000 / LOOKED_AT


def test_a_watcher_that_runs_for_a_minute_at_a_time_sweeps_once_an_hour() -> None:
    scene = chain()
    scene.put(scene.keys.retention, dump_sweep(Sweep(when=NOW - timedelta(minutes=50))))
    scene.read()
    scene.sweeper.step(0.0, scene.term)
    assert scene.sweeper.next_at(0.0) == 600
    scene.put(scene.keys.retention, dump_sweep(Sweep(when=NOW + timedelta(days=50))))
    scene.follow()
    scene.sweeper.clear()
    scene.sweeper.step(0.0, scene.term)
    assert scene.sweeper.next_at(0.0) == 3600, "a clock that was wrong does not stop it for long"


def test_what_comes_back_at_or_below_the_watermark_is_ignored_and_deleted() -> None:
    scene = Scene(**LIMITS)
    scene.put(scene.keys.watermark(PipelineRef("default", "A")), dump_watermark(Watermark(LONG_AGO, 0)))
    scene.read()
    for partition, at in (("below", LONG_AGO - timedelta(1)), ("at", LONG_AGO), ("above", LONG_AGO + timedelta(1))):
        scene.state("A", partition, at=at)
    scene.put(scene.keys.state(_target("A", "word")), b"success")
    scene.follow()
    known = {target.partition for target in scene.cache.targets()}
    assert (known, {target.partition for target in scene.cache.expired}) == ({"above", "word"}, {"below", "at"})
    scene.read()
    assert {target.partition for target in scene.cache.targets()} == known, "and after a restart"
    scene.state("A", "below", at=NOW)
    scene.follow()
    assert isinstance((seen := scene.cache.state(_target("A", "below"))) and seen.value, RunState), "cleared since"
    scene.sweep()
    assert scene.swept().expired == 1
    assert "state/A/at" not in scene.left()


def test_acts_of_people_are_kept_for_their_time() -> None:
    scene = Scene(acts="30 days")
    pipeline = PipelineRef("default", "A")
    for days in (31, 29):
        act = Act(Verb.HOLD, pipeline, None, Signature("ann", NOW - timedelta(days=days)))
        scene.others.commit(Transaction((), (put_of(scene.keys, act),)))
    scene.put(scene.keys.act("0-not-one-of-ours"), b"{}")
    scene.sweep()
    left = [item.key.removeprefix(scene.keys.acts)[:10] for item in scene.others.list(scene.keys.acts).items]
    assert left == ["0-not-one-", "2026-10-23"]


def test_without_limits_nothing_is_removed_or_written() -> None:
    scene = chain(every="1 hour")
    before = scene.etcd.revision
    scene.sweep()
    assert scene.etcd.revision == before


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), max_size=30), st.integers(0, 5000))
def test_a_revision_is_never_taken_for_older_than_it_is(notes: list[tuple[int, int]], asked: int) -> None:
    """Revision n is written in second n; a note is made when it is known to have been, or later."""
    times = RevisionTimes()
    for revision, later in notes:
        times.note(revision, NOW + timedelta(seconds=revision + later))
    bound = times.at_the_latest(asked)
    assert bound is None or bound >= NOW + timedelta(seconds=asked)
    far = [revision + later for revision, later in notes if revision >= asked + 512]
    assert not far or (bound is not None and bound <= NOW + timedelta(seconds=min(far)))


@given(
    st.binary(max_size=50) | st.sampled_from((b'{"when": "2026-11-20T00:00:00Z", "held_back": [{"pipeline": ""}]}',))
)
def test_reading_what_a_sweep_did_never_raises(value: bytes) -> None:
    assert isinstance(read_sweep(value), Sweep | Unreadable)


def test_what_a_sweep_did_is_read_back() -> None:
    sweep = Sweep(NOW, 1, 2, 3, 4, 5, (HeldBack(Target(PipelineRef("team_b", "a/b"), "k"), "it is due"),))
    assert read_sweep(dump_sweep(sweep)) == sweep
