"""Everything at once: any bytes under any keys. The watcher goes on, and a good pipeline beside the rubbish fires."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from coordinator.controller.state.cache import Cache
from coordinator.controller.state.problems import shown
from coordinator.model.assets.names import events_of
from coordinator.model.explanation import as_json as explanation_as_json
from coordinator.model.explanation import explain
from coordinator.model.references import PipelineRef
from coordinator.model.references import Target as Where
from coordinator.reading.reading import read
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryEtcd, MemoryStore
from coordinator.store.port import Changed, Changes, Delete, Put, Transaction
from tests.fuzz.tape import Tape, as_json
from tests.fuzz.targets import values
from tests.fuzz.targets.documents import document_of
from tests.fuzz.targets.names import KINDS
from tests.worlds.simulated import SimulatedWorld

NAMES = ("a", "b", "c", "d", "x y", "t.e", "%2F", "a/b", "..", "asset events", "assets from default")
ENVIRONMENTS = ("default", "team_b", "nobody")
PARTITIONS = ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z", "k", "2026-11-20", "9999-12-31T23:59:59.999999Z", "..")
FORMS = {
    "state": values.STATE,
    "asset": values.ASSET,
    "trigger": values.RECORD,
    "hold": values.HOLD,
    "order": values.ORDER,
    "floor": values.WATERMARK,
    "acts": values.ACT,
    "retention": values.SWEEP,
    "heartbeat": values.HEARTBEAT,
    "watchers": values.PRESENCE,
    "leader": values.PRESENCE,
}
DOCUMENT = {
    "b": "a",
    "c": ["a", "b"],
    "d": {"upstream": {"any": ["a", {"pipeline": "c", "on": "failure"}]}, "deadline": "06:00"},
    "team_b/a": {"upstream": {"pipeline": "a", "partition": "start_of_day", "max_age": "36 hours"}},
    "team_b/b": {"upstream": {"pipeline": "team_b/a", "partition": "latest"}, "deadline": "2 hours", "on_late": "fire"},
    "team_b/c": {"upstream": {"pipeline": "a", "partition": {"mapper": "rollup", "window": "week", "wait": 1}}},
    "team_b/d": {"upstream": {"pipeline": "b", "partition": "-1 day"}, "rerun": "hold", "max_in_flight": 1},
    "good_child": "good",
    "assets": [{"from": "default", "to": ["team_b"]}, {"from": "default", "to": ["nobody"], "rerun": "once"}],
}
WORDS = (*KINDS, *NAMES, *ENVIRONMENTS, *PARTITIONS, *values.WORDS)


def _put(tape: Tape, keys: Keys, *, leader: bool) -> Put | Delete | None:
    kind = tape.one_of(
        (*KINDS, "asset", "asset", "state", "state", "trigger", "trigger", "order", "retention", "nothing")
    )
    odd = tape.below(12) == 1
    key = keys.root + tape.raw().decode("utf-8", "surrogateescape") if odd else _key(tape, keys, kind)
    protected = (keys.root + "leader", keys.dependencies("default"), keys.dependencies("team_b"))
    if (key in protected or "good" in key) and not (leader and key == keys.leader):
        return None
    if tape.below(10) == 1:
        return Delete(key)
    form = FORMS.get(kind)
    if form is None or tape.below(8) == 1:
        return Put(key, tape.raw(255))
    return Put(key, values.spoiled_json(tape, form))


def _key(tape: Tape, keys: Keys, kind: str) -> str:
    pipeline = PipelineRef(tape.one_of(ENVIRONMENTS), tape.one_of(NAMES))
    target = Where(pipeline, tape.one_of(PARTITIONS))
    match kind:
        case "state":
            return keys.state(target)
        case "asset":
            return keys.state(Where(events_of(pipeline.environment), target.partition))
        case "trigger":
            return keys.trigger(target)
        case "order":
            return keys.order(target)
        case "hold":
            return keys.hold(pipeline)
        case "floor":
            return keys.watermark(pipeline)
        case "acts" | "watchers" | "dependencies":
            return f"{keys.root}{kind}/{tape.one_of(NAMES)}"
    return keys.root + kind


def cache(data: bytes) -> None:
    """One reading of it all: every decision, and every explanation of one."""
    tape = Tape(data)
    keys = Keys("/c")
    store = MemoryStore(MemoryEtcd(clock=lambda: 0.0))
    store.commit(Transaction((), (Put(keys.dependencies("default"), as_json({"dependencies": DOCUMENT})),)))
    if tape.below(8) == 1:
        store.commit(Transaction((), (Put(keys.dependencies("nobody"), as_json({"dependencies": document_of(tape)})),)))
    live = Cache(keys)
    live.replace(store.list(keys.root))
    watermarks = False
    for _ in range(40):
        if not tape:
            break
        operation = _put(tape, keys, leader=True)
        if operation is None:
            continue
        watermarks = watermarks or operation.key.startswith(f"{keys.root}floor/")
        answer = store.commit(Transaction((), (operation,)))
        kv = store.get(operation.key)
        live.apply(
            Changes((Changed(operation.key, answer.revision, kv),), answer.revision),
            now=float(answer.revision),
            live=bool(answer.revision % 2),
        )
    reading = read(store, keys, at=datetime(2026, 11, 20, 7, tzinfo=UTC))
    if (
        not watermarks
    ):  # a listing has them before the states that they concern; a sweep removes these before it moves one
        assert set(reading.cache.targets()) == set(live.targets()), "a watch and a list see the same"
        assert reading.cache.problems == live.problems
        assert reading.cache.problems.count == live.problems.count
    json.dumps(shown(reading.problems, reading.cache.problems).as_json(), ensure_ascii=False).encode()
    for target in {*reading.cache.targets(), *reading.propagation.unsettled(), *reading.late}:
        explained = explain(reading.propagation, target)
        json.dumps(explanation_as_json(explained), ensure_ascii=False).encode()


def reconciler(data: bytes) -> None:
    """A whole watcher on it: a good pipeline beside the rubbish fires, once for its completion."""
    tape = Tape(data)
    world = SimulatedWorld()
    world.dependencies(DOCUMENT)
    world.by_hand("good")
    if tape.below(2):
        world.retain(max_partitions=1)
        world.settle()
    documents = f"{world.keys.root}dependencies/"
    may_restart = True
    for _ in range(30):
        if not tape:
            break
        operation = _put(tape, world.keys, leader=False)
        if operation is not None:
            world.write(operation)
            # A watcher that starts beside an unreadable document starts nothing (docs/guarantees.md): it would decide
            # by half of the dependencies.
            may_restart = may_restart and not operation.key.startswith(documents)
        match tape.below(8):
            case 1:
                world.tick_once()
            case 2:
                world.settle()
            case 3 if may_restart:
                world.stop_watcher()
                world.start_watcher()
                world.settle()
    world.settle()
    world.trigger("good")
    world.run("good")
    world.settle()
    assert world.runs("good_child") == 1, "a good pipeline beside the rubbish did not fire once"
