"""An asset event in etcd: what was emitted, where, by which task, and which environments it has passed.

An event is a :class:`~coordinator.model.runstate.RunState` that has succeeded, so that the rule treats it as the
completion of a pipeline. Its id is made once, by the listener.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import blake2b
from secrets import token_hex
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.partitions.assets import identity_in
from coordinator.model.partitions.instants import parse_instant
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.stored import Instant, Unreadable, read_stored

LISTENER = "airflow-listener"
"""The beginning of ``reported_by`` of what Airflow's listener was told of."""

OURS = "coordinator"
"""The member of ``extra`` in which the coordinator says where an event comes from."""


class InvalidEvent(CoordinatorError):
    """An event that readers would refuse: it is not written."""


class Origin(BaseModel):
    """``extra.coordinator`` of an event that was handed on.

    :ivar event: its id in the environment that it was handed on from.
    :ivar path: the environments that it has passed, the one that emitted it first.
    :ivar timestamp: when it was emitted, by the clock of its listener there.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    event: Annotated[str, Field(max_length=bounds.NAME)]
    path: Annotated[list[str], Field(max_length=bounds.ASSET_PATH)]
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    timestamp: str | None = None


class AssetEventDocument(BaseModel):
    """The JSON of an asset event. Unknown fields are kept.

    :ivar to: the environments that it is for, where a task has named them; empty: those to which a bridge leads.
    :ivar timestamp: when the listener was told of it, by its clock; Airflow's event has no time.
    """

    model_config = ConfigDict(extra="allow")

    uri: Annotated[str, Field(min_length=1, max_length=bounds.ASSET_URI)]
    name: str | None = None
    group: str | None = None
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    partition_key: str | None = None
    extra: dict[str, Any] = {}
    to: Annotated[list[str], Field(max_length=bounds.ASSET_PATH)] = []
    timestamp: Instant
    reported_by: str | None = None

    @property
    def origin(self) -> Origin | None:
        """What the coordinator has written into it; ``None``: it was emitted in this environment.

        A task may write anything there. What Airflow says that a task has emitted was not handed on by us.
        """
        if self.dag_id is not None and (self.reported_by or "").startswith(LISTENER):
            return None
        try:
            return Origin.model_validate(self.extra.get(OURS))
        except ValidationError:  # anybody may write anything there
            return None

    def to_value(self) -> bytes:
        """The bytes for etcd, without empty fields.

        :raises InvalidEvent: it is too large, or no reader could read it.
        """
        try:
            size = len(json.dumps(self.extra, ensure_ascii=False).encode())
            value = self.model_dump_json(exclude_none=True, exclude=None if self.to else {"to"}).encode()
        except (ValueError, RecursionError) as error:  # half a surrogate pair is no UTF-8
            raise InvalidEvent(f"the event of {self.uri!r} cannot be written down: {error}") from error
        if size > bounds.ASSET_EXTRA:
            raise InvalidEvent(
                f"the extra of the event of {self.uri!r} has {size} bytes; expected at most {bounds.ASSET_EXTRA}: put "
                "it where the consumer can read it, and its address into extra"
            )
        read_back = read_asset_event("", value)
        if isinstance(read_back, Unreadable):
            raise InvalidEvent(f"the event of {self.uri!r} could not be read back: {read_back.reason}")
        return value


class AssetState(RunState, frozen=True, gc=False):
    """An asset event, as the rule sees it.

    ``attempt`` is the event's id: an event that is put again is the same one.

    :ivar path: the environments that it had passed before the present one.
    :ivar emitted_at: by the clock of the listener of the first environment of ``path``, else of the present one.
    :ivar partition_key: Airflow's; ``None``: it has none.
    :ivar run: the DAG and the run_id of the run that emitted it, in the first environment of ``path``, else in the
        present one; ``None``: no run has.
    :ivar to: the environments that it is for; empty: no task has named any.
    :ivar content: its JSON.
    """

    uri: str = ""
    path: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    emitted_at: datetime | None = None
    partition_key: str | None = None
    run: tuple[str, str] | None = None
    content: bytes = b""

    def is_for(self, environment: str, *, explicit: bool) -> bool:
        """Whether it is handed on to an environment. :param explicit: only if it names it."""
        if environment in self.path:
            return False
        return environment in self.to if self.to or explicit else True

    def document(self) -> AssetEventDocument:
        """All of it."""
        return AssetEventDocument.model_validate_json(self.content)


def read_asset_event(event_id: str, value: bytes) -> AssetState | Unreadable:
    """Read the value of an ``asset/`` key. Never raises."""
    return read_stored(
        value,
        lambda value: _state_of(event_id, value),
        most=bounds.ASSET_EVENT,
        what="an asset event",
        expected="; expected an asset event with uri and timestamp",
    )


def _state_of(event_id: str, value: bytes) -> AssetState:
    document = AssetEventDocument.model_validate_json(value)
    origin = document.origin
    run = _run_of(document, origin)
    dag_id, run_id = run or ("", "")
    for what, name in (("dag_id", dag_id), ("run_id", run_id), ("partition_key", document.partition_key or "")):
        if len(name) > bounds.NAME:
            raise ValueError(f"its {what} is too long; expected at most {bounds.NAME} characters")
    return AssetState(
        State.SUCCESS,
        Attempt(event_id, None, 1),
        document.timestamp,
        ended_at=document.timestamp,
        uri=document.uri,
        path=tuple(origin.path) if origin is not None else (),
        to=tuple(document.to),
        emitted_at=_emitted_at(document, origin),
        partition_key=document.partition_key or None,
        run=run,
        content=value,
    )


def _run_of(document: AssetEventDocument, origin: Origin | None) -> tuple[str, str] | None:
    first = document if origin is None or not origin.path else origin
    return (first.dag_id, first.run_id) if first.dag_id and first.run_id else None


def _emitted_at(document: AssetEventDocument, origin: Origin | None) -> datetime:
    """The time of an event that was handed on is by another clock than those of its run."""
    first = parse_instant(origin.timestamp or "") if origin is not None and origin.path else None
    return first or document.timestamp


def new_event_id(document: AssetEventDocument, *, attempt: tuple[datetime, str] | None = None) -> str:
    """A name for an event: when, of which origin, and what no other event has.

    Its origin is the uri, DAG, run, task, map index and partition key: another attempt of the same task has the same
    one. An event that was handed on keeps the origin that it had; one that no task has emitted has one of its own.

    :param attempt: of a task that may try again, when it began and its name: each try makes the same name.
    """
    moment, unique = document.timestamp, token_hex(6)
    if attempt is not None:
        moment, unique = attempt[0], blake2b(attempt[1].encode(errors="surrogatepass"), digest_size=6).hexdigest()
    origin = document.origin
    if origin is not None:
        told = identity_in(origin.event)
    elif document.run_id is None:
        told = unique
    else:
        told = json.dumps(
            [
                document.dag_id,
                document.run_id,
                document.task_id,
                document.map_index,
                document.partition_key,
            ]
        )
    digest = blake2b(f"{document.uri}\n{told}".encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}-{digest}-{unique}"


def extra_to_send(document: AssetEventDocument, event_id: str, environment: str) -> dict[str, Any]:
    """The ``extra`` with which an event is handed on: its own, and where it comes from.

    :param environment: the one that it is handed on from.
    """
    before = document.origin
    ours: dict[str, Any] = {
        "event": event_id,
        "path": [*(before.path if before is not None else ()), environment],
        "dag_id": before.dag_id if before is not None else document.dag_id,
        "run_id": before.run_id if before is not None else document.run_id,
        "task_id": before.task_id if before is not None else document.task_id,
        "timestamp": before.timestamp if before is not None else _spelled(document.timestamp),
    }
    return {**document.extra, OURS: ours}


def _spelled(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
