"""Acts: what people have done, with who, when and why.

An act is written under ``acts/`` in the transaction that carries it out, so that both happen or neither.
"""

from __future__ import annotations

import enum
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from coordinator.model import bounds
from coordinator.model.references import PipelineRef
from coordinator.model.stored import Instant, Unreadable, read_stored
from coordinator.store.keys import ActKey, Keys
from coordinator.store.port import Put, Store


class Verb(enum.StrEnum):
    """What people can do with pipelines."""

    HOLD = "hold"
    RELEASE = "release"
    RERUN = "rerun"
    CANCEL = "cancel"
    MARK = "mark"
    FILL = "fill"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Signature:
    """Who does something, when and why."""

    who: str
    when: datetime
    why: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """An act of a person.

    :ivar partition: ``None``: all partitions.
    :ivar what: more about it, such as the state that was marked.
    """

    verb: Verb
    pipeline: PipelineRef
    partition: str | None
    signature: Signature
    what: str = ""


@dataclass(frozen=True, slots=True)
class RecordedAct:
    """An act as it is stored in etcd.

    :ivar act_id: begins with the time, so that acts are listed in order.
    """

    act_id: str
    value: Act | Unreadable


class _ActDocument(BaseModel):
    model_config = ConfigDict(extra="ignore")

    act: Verb
    pipeline: str
    partition: str | None = None
    what: str = ""
    who: str = ""
    when: Instant
    why: str = ""


def put_of(keys: Keys, act: Act) -> Put:
    """The operation that records an act, for the transaction that carries it out."""
    signature = act.signature
    # Acts are ordered by the clock of the writer; the random part distinguishes two of the same microsecond.
    act_id = f"{signature.when.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}-{secrets.token_hex(4)}"
    document = _ActDocument(
        act=act.verb,
        pipeline=f"{act.pipeline.environment}/{act.pipeline.dag_id}",
        partition=act.partition,
        what=act.what,
        who=signature.who,
        when=signature.when,
        why=signature.why,
    )
    return Put(keys.act(act_id), document.model_dump_json(exclude_none=True, exclude_defaults=True).encode())


def read_act(value: bytes) -> Act | Unreadable:
    """Read the value of an ``acts/`` key. Never raises."""
    return read_stored(value, _act_of, most=bounds.SMALL_VALUE, what="an act")


def _act_of(value: bytes) -> Act:
    found = _ActDocument.model_validate_json(value)
    signature = Signature(found.who, found.when, found.why)
    return Act(found.act, PipelineRef.parse(found.pipeline), found.partition, signature, found.what)


def recorded_acts(
    store: Store, keys: Keys, *, pipeline: PipelineRef | None = None, limit: int | None = None
) -> list[RecordedAct]:
    """The recorded acts, the newest first.

    :param pipeline: only acts on this one; unreadable ones are then left out.
    :param limit: the greatest number of acts.
    """
    found = []
    for item in reversed(store.list(keys.act(""), largest=keys.largest_value).items):
        match keys.parse(item.key):
            case ActKey(act_id):
                value = read_act(item.value)
                if pipeline is None or (isinstance(value, Act) and value.pipeline == pipeline):
                    found.append(RecordedAct(act_id, value))
        if limit is not None and len(found) == limit:
            break
    return found
