"""Reading the keys of the playground as run states: ``/etl_state/tasks/<execution_date>/<dag_id>`` (``[compat]
etl_state``).

Each pipeline there puts ``{"state": "START", ...}`` when it begins and ``{"state": "END", ...}`` when it has ended,
under one key, which a rerun overwrites. There is no name for an attempt: the etcd revision of its START stands for it,
found in the history of the key if need be. So an END that is put again is a repeat, and an END after another START is a
new completion, also after a downtime.

Reports are idempotent, so every watcher reads these keys.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import structlog

from coordinator.commands.report import write_report
from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.partitions.instants import format_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunState, RunStateDocument, State, read_run_state
from coordinator.model.stored import Unreadable, read_stored
from coordinator.store.keys import Keys
from coordinator.store.port import Compacted, KeyValue, Store
from coordinator.store.reflector import Disconnected, Reflector, Snapshot, Update

_log = structlog.get_logger(__name__)

_STATES = {"START": State.RUNNING, "END": State.SUCCESS, "FAILED": State.FAILED}
"""The playground has no state for a failure; ``FAILED`` is what its users add."""

_BACK = 20
"""Values of a key that are looked back through for its START."""

RETRY_AFTER = 5.0
"""Seconds until a report that etcd did not take is tried again."""


class _Value(msgspec.Struct):
    state: str


_decode = msgspec.json.Decoder(_Value).decode


class EtlStates:
    """Follows the keys in a thread of its own.

    :param prefix: of the keys, without a ``/`` at its end.
    :param environment: that the pipelines belong to.
    """

    def __init__(self, store: Store, keys: Keys, *, prefix: str, environment: str) -> None:
        self._store = store
        self._keys = keys
        self._root = prefix + "/"
        self._environment = environment
        self._stop = threading.Event()
        self._problems: dict[str, str] = {}
        self._reflector = Reflector(store, self._root, largest=lambda _: bounds.RUN_STATE)
        self._thread = threading.Thread(target=self._follow, name="etl states", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """:param timeout: seconds to wait for the thread."""
        self._stop.set()
        self._reflector.close()
        self._thread.join(timeout)

    def problem(self) -> str | None:
        """Keys that cannot be read, in a line. Any thread may ask."""
        problems = dict(self._problems)
        if not problems:
            return None
        key, reason = next(iter(problems.items()))
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        return f"{key}: {reason}{more}; it counts as not yet"

    def _follow(self) -> None:
        for update in self._reflector.updates(self._stop):
            for item in _items(update):
                while not self._stop.is_set() and not self._report(item):
                    self._stop.wait(RETRY_AFTER)

    def _report(self, item: KeyValue) -> bool:
        """Report one value. Returns whether that is done, also where there is nothing to report."""
        target = self._target_of(item.key)
        state = _state_of(item.value) if target is not None else Unreadable("expected <execution_date>/<dag_id>")
        if target is None or isinstance(state, Unreadable):
            assert isinstance(state, Unreadable)
            if self._problems.get(item.key) != state.reason:
                self._problems[item.key] = state.reason
                _log.warning("etl_state.unreadable", key=item.key, reason=state.reason)
            return True
        self._problems.pop(item.key, None)
        try:
            attempt = item.mod_revision if state is State.RUNNING else self._attempt_of(item, target)
            document = RunStateDocument(
                state=state, attempt=attempt, observed_at=datetime.now(UTC), reported_by="coordinator/etl_state"
            )
            write_report(self._store, self._keys, target, document)
        except CoordinatorError as error:
            _log.warning("etl_state.not_reported", key=item.key, reason=str(error))
            return False
        return True

    def _attempt_of(self, item: KeyValue, target: Target) -> int:
        """The revision of the START before an end.

        Where etcd does not keep that any more: the attempt that is known to run, or, if none does, this end itself.
        """
        at = item
        try:
            for _ in range(_BACK):
                if at.mod_revision == at.create_revision:
                    return at.mod_revision  # it has never begun
                before = self._store.get(item.key, revision=at.mod_revision - 1)
                if before is None:
                    return at.mod_revision
                if _state_of(before.value) is State.RUNNING:
                    return before.mod_revision
                at = before
        except Compacted:
            found = self._store.get(self._keys.state(target))
            known = read_run_state(found.value) if found is not None else None
            if isinstance(known, RunState) and not known.state.is_terminal and known.attempt.number is not None:
                return known.attempt.number
        return at.mod_revision

    def _target_of(self, key: str) -> Target | None:
        date, slash, dag_id = key[len(self._root) :].partition("/")
        if not slash or not date or not dag_id.strip():
            return None
        try:
            moment = datetime.fromisoformat(date)
        except ValueError:
            partition = date
        else:
            partition = format_instant(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
        return Target(PipelineRef(self._environment, dag_id), partition)


def _items(update: Update) -> Iterator[KeyValue]:
    """What is to be reported. A key that was deleted is no news: the playground's pipelines delete none."""
    match update:
        case Snapshot(listing):
            yield from sorted(listing.items, key=lambda item: item.mod_revision)
        case Disconnected():
            return
        case changes:
            yield from (change.kv for change in changes.changes if change.kv is not None)


def _state_of(value: bytes) -> State | Unreadable:
    return read_stored(value, _known_state, most=bounds.RUN_STATE, what="a state of the playground")


def _known_state(value: bytes) -> State:
    word = _decode(value).state
    if word not in _STATES:
        raise ValueError(f"the state {word[:40]!r}; expected {', '.join(_STATES)}")
    return _STATES[word]
