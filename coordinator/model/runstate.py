"""Run states: what pipelines report, and which of two reports is the newer one (design section 3).

A run state is JSON with a ``state``; a bare word (``success``) is one too. Reading never raises: a value that
cannot be read is :class:`Unreadable`, which counts as "not yet" and is shown as a problem.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.printable import encodable


class InvalidReport(CoordinatorError):
    """A report that could not be read back, refused before it is written."""


class State(enum.StrEnum):
    """The state of a run. The last two are terminal."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        return self is State.SUCCESS or self is State.FAILED


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a run: a cleared run is the same run and a new attempt.

    ``queued_at`` is Airflow's, new with every clear; ``number`` is the ``attempt`` of writers without one.
    """

    run_id: str | None = None
    queued_at: datetime | None = None
    number: int | None = None

    def same_as(self, other: Attempt) -> bool:
        """Whether two reports speak of the same attempt: run_id equal, and queued_at (else attempt) equal.

        Reports that carry neither cannot be told apart and are never the same.
        """
        if self.run_id != other.run_id:
            return False
        if self.queued_at is not None and other.queued_at is not None:
            return self.queued_at == other.queued_at
        return self.number is not None and self.number == other.number

    def older_than(self, other: Attempt) -> bool | None:
        """Whether this attempt precedes the other one; ``None`` when the two cannot be compared."""
        if self.queued_at is not None and other.queued_at is not None:
            return self.queued_at < other.queued_at
        if self.run_id == other.run_id and self.number is not None and other.number is not None:
            return self.number < other.number
        return None


@dataclass(frozen=True, slots=True)
class RunState:
    """What is known of the newest run of a pipeline in a partition."""

    state: State
    attempt: Attempt = Attempt()
    observed_at: datetime | None = None
    """When the writer saw this state, by its own clock; orders two terminal states of one attempt."""
    marked: bool = False
    """A person has said so, whatever the run itself says of this attempt."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that is no run state. Counts as "not yet".

    :ivar reason: why, short enough for a log line, and UTF-8 whatever the value holds.
    """

    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", encodable(self.reason, limit=bounds.REASON))


def _as_utc(value: Any) -> Any:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return value
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:  # the first day of year 1 in the east; pydantic lets only ValueError be a refusal
        raise ValueError(f"{value.isoformat()} is outside of the calendar in UTC") from error


Instant = Annotated[datetime, BeforeValidator(_as_utc)]


Revision = Annotated[int, Field(ge=0, lt=1 << 63)]
"""etcd's own type for it is int64. Anything greater would never be reached, and would hold things back for ever."""


class RunStateDocument(BaseModel):
    """The JSON of a run state, as it stands in etcd. Unknown fields are kept."""

    model_config = ConfigDict(extra="allow", strict=True)

    state: Annotated[State, Field(strict=False)]
    run_id: str | None = None
    queued_at: Instant | None = None
    attempt: int | None = None
    logical_date: Instant | None = None
    partition_key: str | None = None
    data_interval_start: Instant | None = None
    data_interval_end: Instant | None = None
    start_date: Instant | None = None
    end_date: Instant | None = None
    observed_at: Instant | None = None
    reported_by: str | None = None
    note: str | None = None
    marked: bool | None = None

    def to_run_state(self) -> RunState:
        return RunState(
            state=self.state,
            attempt=Attempt(run_id=self.run_id, queued_at=self.queued_at, number=self.attempt),
            observed_at=self.observed_at or self.end_date,
            marked=bool(self.marked),
        )

    def to_value(self) -> bytes:
        """The bytes for etcd; fields that say nothing are left out."""
        return self.model_dump_json(exclude_none=True).encode()


def too_large(value: bytes, most: int, what: str) -> Unreadable:
    """What a value is that is not even looked into."""
    del value  # its size is not known: of a larger value the store keeps only that it is one
    return Unreadable(f"more than {most} bytes, the most that {what} has: put a shorter one, or delete the key")


def read_run_state(value: bytes) -> RunState | Unreadable:
    """Read what stands under a ``state/`` key. Never raises."""
    if len(value) > bounds.RUN_STATE:
        return too_large(value, bounds.RUN_STATE, "a run state")
    word = value.strip().strip(b'"')
    try:
        return RunState(State(word.decode()))
    except (ValueError, UnicodeDecodeError):
        pass
    try:
        return RunStateDocument.model_validate_json(value).to_run_state()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "value"
        return Unreadable(f"{place}: {first['msg']}; expected a state (queued, running, success, failed)")
    except (ValueError, OverflowError, RecursionError) as error:
        return Unreadable(f"{type(error).__name__}: {error}")


class Verdict(enum.Enum):
    """What becomes of a report, given what already stands in etcd."""

    NEW = "new"
    REPEAT = "repeat"
    OUTDATED = "outdated"


def judge_report(present: RunState | Unreadable | None, report: RunState) -> Verdict:
    """Decide whether a report may replace what stands in etcd (design section 3 and section 5, point 8).

    The same attempt and state again is a repeat. Within an attempt a terminal state is never overwritten by
    queued or running, nor by an older terminal observation; a late report of an older attempt never
    overwrites a newer one. What cannot be compared is taken for new. Within an attempt only another mark overrules a
    person's mark: whoever marks a run knows what it said of itself.
    """
    if not isinstance(present, RunState):
        return Verdict.NEW
    if not report.attempt.same_as(present.attempt):
        return Verdict.OUTDATED if report.attempt.older_than(present.attempt) else Verdict.NEW
    if report.state is present.state:
        return Verdict.REPEAT
    if present.marked or report.marked:
        return Verdict.NEW if report.marked else Verdict.OUTDATED
    if present.state.is_terminal and not report.state.is_terminal:
        return Verdict.OUTDATED
    if present.state is State.RUNNING and report.state is State.QUEUED:
        return Verdict.OUTDATED
    both_observed = report.observed_at is not None and present.observed_at is not None
    if report.state.is_terminal and present.state.is_terminal and both_observed:
        assert report.observed_at is not None
        assert present.observed_at is not None
        return Verdict.OUTDATED if report.observed_at < present.observed_at else Verdict.NEW
    return Verdict.NEW
