"""The rows of a partition, as they were read when its pipeline was started."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b

import msgspec

from coordinator.model.dependencies import OnEmpty
from coordinator.model.partitions.instants import is_coordinator_run_id, name_of_item_run
from coordinator.model.runstate import Attempt, RunState, State
from coordinator.model.stored import WrittenTime, as_utc


class Rows(msgspec.Struct, frozen=True, gc=False):
    """The rows of a partition. Immutable.

    :ivar token: of the request that read them: read anew, they have another one.
    :ivar sequence: of that request.
    :ivar source: where they were read, for people.
    :ivar on_empty: what becomes of the partition if there are none.
    :ivar by_key: each row as JSON, by the key of its item, in the order of the source.
    """

    token: str
    sequence: int
    source: str
    read_at: datetime
    on_empty: OnEmpty
    by_key: Mapping[str, bytes]

    def as_state(self) -> RunState:
        """As a completion, of which the items make use."""
        return RunState(State.SUCCESS, Attempt(self.token, None, self.sequence), self.read_at)


class RowsDocument(msgspec.Struct, omit_defaults=True, gc=False):
    """The JSON of rows, in a trigger record. Only the coordinator writes it, so each field has one form."""

    token: str
    sequence: int
    source: str
    read_at: WrittenTime
    on_empty: OnEmpty
    by_key: dict[str, msgspec.Raw]


def dump_rows(rows: Rows) -> RowsDocument:
    raw = {key: msgspec.Raw(row) for key, row in rows.by_key.items()}
    return RowsDocument(rows.token, rows.sequence, rows.source, rows.read_at, rows.on_empty, raw)


def load_rows(found: RowsDocument) -> Rows:
    by_key = {key: bytes(row) for key, row in found.by_key.items()}
    return Rows(found.token, found.sequence, found.source, as_utc(found.read_at), found.on_empty, by_key)


def fingerprint_of(row: bytes) -> str:
    """Eight characters that tell one row from another one under the same key."""
    return blake2b(row, digest_size=4).hexdigest()


def is_run_of_row(run_id: str, partition: str, key: str, row: bytes) -> bool:
    """Whether a run was created for this row, so that a clear runs it with this row again: its conf stays the same."""
    return is_coordinator_run_id(run_id, name_of_item_run(partition, key, fingerprint_of(row)))
