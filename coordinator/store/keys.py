"""The keys in etcd (docs/architecture.md#keys): building their names and parsing them.

Segments are percent-encoded where they contain ``/``, ``%`` or control characters, so that no name from outside can
leave its own segment.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

import msgspec

from coordinator.model import bounds
from coordinator.model.assets.names import EVENTS, events_of
from coordinator.model.references import PipelineRef, Target, WaitRef

DEFAULT_PREFIX = "/coordinator"

_LARGEST_VALUES = {
    "state": bounds.RUN_STATE,
    "task": bounds.RUN_STATE,
    "asset": bounds.ASSET_EVENT,
    "trigger": bounds.RECORD,
    "dependencies": bounds.PUBLICATION,
    "published": bounds.PUBLICATION,
}

_TO_ENCODE = re.compile(r"[/%\x00-\x1f\x7f]")
_MAP_INDEX = re.compile(r"-1|0|[1-9][0-9]{0,9}")

_NEVER_IN_A_KEY = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters are encoded; surrogates stand for bytes that are not UTF-8, which no name has."""


def encode_segment(text: str) -> str:
    """Encode one segment; only what is necessary is encoded, so that keys stay readable."""
    return _TO_ENCODE.sub(lambda found: f"%{ord(found.group()):02X}", text)


class StateKey(msgspec.Struct, frozen=True, gc=False):
    """The state of a run or of a task, or an asset event."""

    target: Target


class TriggerKey(msgspec.Struct, frozen=True, gc=False):
    target: Target


class DependenciesKey(msgspec.Struct, frozen=True, gc=False):
    owner: str


class PublishedBeforeKey(msgspec.Struct, frozen=True, gc=False):
    owner: str


class HoldKey(msgspec.Struct, frozen=True, gc=False):
    pipeline: PipelineRef


class OrderKey(msgspec.Struct, frozen=True, gc=False):
    target: Target


class WaitKey(msgspec.Struct, frozen=True, gc=False):
    ref: WaitRef


class CursorKey(msgspec.Struct, frozen=True, gc=False):
    environment: str


class WatermarkKey(msgspec.Struct, frozen=True, gc=False):
    pipeline: PipelineRef


class ActKey(msgspec.Struct, frozen=True, gc=False):
    act_id: str


class HeartbeatKey(msgspec.Struct, frozen=True, gc=False):
    pass


class LeaderKey(msgspec.Struct, frozen=True, gc=False):
    pass


class WatcherKey(msgspec.Struct, frozen=True, gc=False):
    watcher_id: str


class RetentionKey(msgspec.Struct, frozen=True, gc=False):
    pass


class ReporterKey(msgspec.Struct, frozen=True, gc=False):
    environment: str
    name: str


class ReporterSeenKey(msgspec.Struct, frozen=True, gc=False):
    environment: str


ParsedKey = (
    StateKey
    | TriggerKey
    | DependenciesKey
    | PublishedBeforeKey
    | HoldKey
    | CursorKey
    | OrderKey
    | WaitKey
    | WatermarkKey
    | ActKey
    | HeartbeatKey
    | LeaderKey
    | WatcherKey
    | RetentionKey
    | ReporterKey
    | ReporterSeenKey
)


class Keys:
    """The keys under one prefix.

    :param prefix: starts with ``/``; a trailing ``/`` is dropped.
    """

    def __init__(self, prefix: str = DEFAULT_PREFIX) -> None:
        self.prefix = prefix.rstrip("/")
        self.root = self.prefix + "/"
        self.leader = self.root + "leader"
        self.heartbeat = self.root + "heartbeat"
        """The revision up to which a watcher has led; see :mod:`coordinator.controller.state.heartbeat`."""
        self.acts = self.root + "acts/"
        self.watchers = self.root + "watchers/"
        self.retention = self.root + "retention"
        """What the last sweep did; see :mod:`coordinator.model.retention.sweep`."""

    def every(self, kind: str, environment: str | None = None) -> str:
        """The prefix of all keys of a kind; with an environment, of those of that environment."""
        begin = f"{self.root}{kind}/"
        return begin if environment is None else f"{begin}{encode_segment(environment)}/"

    def state(self, target: Target) -> str:
        """The key of the state of a run, or of a task: ``task/<environment>/<dag_id>/<partition>/<task_id>``; or of an
        asset event: ``asset/<environment>/<event>``."""
        if target.pipeline.dag_id == EVENTS:
            return self.every("asset", target.pipeline.environment) + encode_segment(target.partition)
        if target.pipeline.is_rows:  # they stand in the record of their pipeline
            return self.trigger(Target(target.pipeline.fanned_out, target.partition))
        task = target.pipeline.task
        return f"{self._of_target('task', target)}/{encode_segment(task)}" if task else self._of_target("state", target)

    def states_of(self, pipeline: PipelineRef) -> str:
        """The prefix of the keys of all states of a pipeline; for a task: of all tasks of its pipeline."""
        if pipeline.dag_id == EVENTS:
            return self.every("asset", pipeline.environment)
        return self._of_pipeline("task" if pipeline.task else "state", pipeline) + "/"

    def trigger(self, target: Target) -> str:
        return self._of_target("trigger", target)

    def triggers_of(self, pipeline: PipelineRef) -> str:
        """The prefix of the keys of all trigger records of a pipeline."""
        return self._of_pipeline("trigger", pipeline) + "/"

    def items_of(self, kind: str, pipeline: PipelineRef) -> str:
        """The prefix of the keys of a kind of all items of a pipeline: ``state``, ``trigger`` or ``order``."""
        return self._of_pipeline(kind, pipeline) + "["

    def dependencies(self, owner: str) -> str:
        return f"{self.root}dependencies/{encode_segment(owner)}"

    def published_before(self, owner: str) -> str:
        """The hashes of what an owner has published so far; see :mod:`coordinator.model.publishing.edition`."""
        return f"{self.root}published/{encode_segment(owner)}"

    def hold(self, pipeline: PipelineRef) -> str:
        return self._of_pipeline("hold", pipeline)

    def order(self, target: Target) -> str:
        """A person's order; see :mod:`coordinator.model.order`."""
        return self._of_target("order", target)

    def wait(self, ref: WaitRef) -> str:
        """The wait of a sensor: ``wait/<environment>/<dag_id>/<partition>/<run_id>/<task_id>/<map_index>``."""
        run_id, task_id = encode_segment(ref.run_id), encode_segment(ref.task_id)
        return f"{self._of_target('wait', ref.run)}/{run_id}/{task_id}/{ref.map_index}"

    def watermark(self, pipeline: PipelineRef) -> str:
        """The retention watermark; see :mod:`coordinator.model.retention.watermark`. It is listed before the states
        that it concerns, because ``floor`` sorts before ``state``."""
        return self._of_pipeline("floor", pipeline)

    def cursor(self, environment: str) -> str:
        """Up to when the runs of an observed environment are known; see :mod:`coordinator.model.mark`."""
        return f"{self.root}observed/{encode_segment(environment)}"

    def act(self, act_id: str) -> str:
        """One act of a person, kept for later questions."""
        return f"{self.root}acts/{encode_segment(act_id)}"

    def watcher(self, watcher_id: str) -> str:
        return self.watchers + encode_segment(watcher_id)

    def largest_value(self, key: str) -> int:
        """How many bytes the value of a key may have: every reader refuses a larger one, and does not keep it."""
        return _LARGEST_VALUES.get(self.kind(key), bounds.SMALL_VALUE)

    def kind(self, key: str) -> str:
        """The first segment of a key: ``state``, for example."""
        return key[len(self.root) :].partition("/")[0] if key.startswith(self.root) else ""

    def reporter(self, environment: str, name: str) -> str:
        """A live sender; see :mod:`coordinator.model.reporters`."""
        return self.every("reporter", environment) + encode_segment(name)

    def reporter_seen(self, environment: str) -> str:
        """When a reporter of an environment was last heard from."""
        return f"{self.root}reporter_seen/{encode_segment(environment)}"

    @property
    def signs_of_life(self) -> tuple[str, ...]:
        """The prefixes of keys that only show that a process is alive: they are no news for other processes."""
        return self.watchers, self.every("reporter"), self.every("reporter_seen")

    def parse(self, key: str) -> ParsedKey | None:
        """Parse a key; ``None`` for a foreign key, such as one with a name that is too long (``bounds.NAME``).

        A target has one key only: another spelling of it (``%2D`` for ``-``) is a foreign key. If it were accepted, a
        state would have a revision that the compares of a transaction, which use the one key, never find.
        """
        if not key.startswith(self.root):
            return None
        if len(key) <= bounds.NAME and "%" not in key and key.isascii() and key.isprintable():  # nearly all keys
            match key[len(self.root) :].split("/"):
                case [("state" | "trigger") as first, environment, dag_id, partition] if (
                    environment and dag_id and dag_id != EVENTS and partition
                ):
                    target = Target(PipelineRef(environment, dag_id), partition)
                    return StateKey(target) if first == "state" else TriggerKey(target)
        if _NEVER_IN_A_KEY.search(key):
            return None
        kind, *rest = key[len(self.root) :].split("/")
        names = [unquote(part) if "%" in part else part for part in rest]
        if len(key) > bounds.NAME and any(len(name) > bounds.NAME for name in names):
            return None
        if not all(names) or any("%" in part and encode_segment(unquote(part)) != part for part in rest):
            return None
        match kind, names:
            case "state", [environment, dag_id, partition] if dag_id != EVENTS:
                return StateKey(Target(PipelineRef(environment, dag_id), partition))
            case "task", [environment, dag_id, partition, task]:
                return StateKey(Target(PipelineRef(environment, dag_id, task), partition))
            case "asset", [environment, event_id]:
                return StateKey(Target(events_of(environment), event_id))
            case "trigger", [environment, dag_id, partition]:
                return TriggerKey(Target(PipelineRef(environment, dag_id), partition))
            case "dependencies", [owner]:
                return DependenciesKey(owner)
            case "published", [owner]:
                return PublishedBeforeKey(owner)
            case "hold", [environment, dag_id]:
                return HoldKey(PipelineRef(environment, dag_id))
            case "order", [environment, dag_id, partition]:
                return OrderKey(Target(PipelineRef(environment, dag_id), partition))
            case "wait", [environment, dag_id, partition, run_id, task_id, index] if _MAP_INDEX.fullmatch(index):
                run = Target(PipelineRef(environment, dag_id), partition)
                return WaitKey(WaitRef(run, run_id, task_id, int(index)))
            case "observed", [environment]:
                return CursorKey(environment)
            case "floor", [environment, dag_id]:
                return WatermarkKey(PipelineRef(environment, dag_id))
            case "acts", [act_id]:
                return ActKey(act_id)
            case "heartbeat", []:
                return HeartbeatKey()
            case "leader", []:
                return LeaderKey()
            case "retention", []:
                return RetentionKey()
            case "watchers", [watcher_id]:
                return WatcherKey(watcher_id)
            case "reporter", [environment, name]:
                return ReporterKey(environment, name)
            case "reporter_seen", [environment]:
                return ReporterSeenKey(environment)
        return None

    def _of_pipeline(self, kind: str, pipeline: PipelineRef) -> str:
        environment, dag_id = encode_segment(pipeline.environment), encode_segment(pipeline.dag_id)
        return f"{self.root}{kind}/{environment}/{dag_id}"

    def _of_target(self, kind: str, target: Target) -> str:
        (environment, dag_id, _), partition = target
        return f"{self.root}{kind}/{encode_segment(environment)}/{encode_segment(dag_id)}/{encode_segment(partition)}"
