"""What happens in etcd while an example is played: printed as it happens, and kept for what waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from coordinator.errors import CoordinatorError
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.store.keys import DependenciesKey, Keys, LeaderKey, StateKey, TriggerKey
from coordinator.store.port import KeyValue, Store
from examples.demo.interruption import pause
from examples.demo.parts import Parts

LEADS_WITHIN, RUNS_WITHIN = 60.0, 180.0
_LOOK_EVERY = 0.1


class DemoFailed(CoordinatorError):
    """Something did not happen as it should have."""


class News:
    """Follows the keys of the coordinator.

    :param may_fail: pipelines whose runs may fail.
    :ivar revision: of etcd, up to which everything was told.
    :ivar states: the newest state of each pipeline, and its revision.
    """

    def __init__(self, parts: Parts, store: Store, *, may_fail: frozenset[PipelineRef] = frozenset()) -> None:
        self.revision = 0
        self.states: dict[PipelineRef, tuple[State, int]] = {}
        self._parts = parts
        self._store = store
        self._keys = Keys()
        self._may_fail = may_fail
        self._began = time.monotonic()
        self._leads = self._published = False
        self._requests: set[tuple[PipelineRef, int]] = set()

    def await_leader(self) -> None:
        """Wait until a watcher leads. What ran before the dependencies were published counts as the past."""
        self.wait(lambda: self._leads and self._published, LEADS_WITHIN, lambda: ["coordinator watch does not lead"])

    def wait(self, condition: Callable[[], bool], within: float, problems: Callable[[], list[str]]) -> None:
        """Wait, and print what happens meanwhile.

        :param problems: asked at the end of the time for what does not hold.
        :raises DemoFailed: it did not hold within this time, in seconds.
        """
        until = time.monotonic() + within
        while not condition():
            self._parts.check()
            if time.monotonic() > until:
                raise DemoFailed("\n".join([f"not within {within:.0f} s:", *problems()]))
            pause(_LOOK_EVERY)
            for line in self._lines():
                print(f"{time.monotonic() - self._began:6.1f} s  {line}", flush=True)

    def _lines(self) -> Iterator[str]:
        """What has changed in etcd since the last call."""
        listing = self._store.list(self._keys.root)
        for item in sorted(listing.items, key=lambda item: item.mod_revision):
            if item.mod_revision > self.revision:
                yield from self._told(item)
        self.revision = listing.revision

    def _told(self, item: KeyValue) -> Iterator[str]:
        match self._keys.parse(item.key):
            case LeaderKey():
                self._leads = True
            case DependenciesKey():
                self._published = True
            case StateKey(target):
                state = RunStateDocument.model_validate_json(item.value).state
                if state is State.FAILED and target.pipeline not in self._may_fail:
                    raise DemoFailed(f"expected {target} to succeed, found that its run failed")
                known = self.states.get(target.pipeline)
                self.states[target.pipeline] = state, item.mod_revision
                if known is None or known[0] is not state:
                    yield f"{target.pipeline}: {state}"
            case TriggerKey(target):
                record = read_record(item.value)
                assert isinstance(record, TriggerRecord), record
                if record.status is Status.BLOCKED:
                    raise DemoFailed(f"{target} cannot be started: {record.last_error}")
                if (request := (target.pipeline, record.sequence)) not in self._requests:
                    self._requests.add(request)
                    yield f"{target.pipeline}: the coordinator asks to {record.action} a run"
