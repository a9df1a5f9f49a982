"""Run states: what pipelines report, and which of two reports is newer (docs/architecture.md#run-states).

A run state is JSON with a ``state``; a bare word (``success``) is valid too. Reading never raises: a value that cannot
be read is :class:`Unreadable`, which counts as "not yet" and is shown as a problem.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.stored import Instant as Instant
from coordinator.model.stored import Revision as Revision
from coordinator.model.stored import Unreadable as Unreadable
from coordinator.model.stored import as_utc, read_stored


class InvalidReport(CoordinatorError):
    """A report that readers could not read, refused before it is written."""


class State(enum.StrEnum):
    """The state of a run, or of a task. The last three are terminal; only a task can be ``skipped``."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def is_terminal(self) -> bool:
        return self is State.SUCCESS or self is State.FAILED or self is State.SKIPPED


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One execution of a run: a cleared run is the same run and a new attempt.

    ``queued_at`` is Airflow's, and changes with every clear; ``number`` is the ``attempt`` of writers without one.
    """

    run_id: str | None = None
    queued_at: datetime | None = None
    number: int | None = None

    def same_as(self, other: Attempt) -> bool:
        """Whether two reports are about the same attempt: run_id equal, and queued_at (else attempt) equal.

        Reports with neither cannot be compared and are never the same.
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


def shown_queued_at(queued_at: datetime | None, end_date: datetime | None) -> datetime | None:
    """The ``queued_at`` to report of a run that Airflow 3 shows.

    A run that was made as running (``airflow dags test``) has none, and its end stands for it: later than all that was
    before, and another one for every end. Its start does not: it is the logical date, each time that it is made.
    ``None``: such a run that has not ended.
    """
    return queued_at if queued_at is not None else end_date


class RunState(msgspec.Struct, frozen=True, gc=False):
    """The state of the newest run of a pipeline in a partition."""

    state: State
    attempt: Attempt = Attempt()
    observed_at: datetime | None = None
    """When the writer saw this state, by its own clock; orders two terminal states of one attempt."""
    marked: bool = False
    """A person has set this state, which overrules reports about this attempt."""
    ended_at: datetime | None = None
    """When it ended, by the environment's clock; of a run that was seen at once, when it was seen
    (:data:`SEEN_AT_ONCE`). ``None``: nobody said when."""
    earlier: tuple[Attempt, ...] = ()
    """The attempts whose place it has taken, the last one first: their asset events may come later."""
    note: str | None = None
    """Why it failed, if somebody said; of other states it is not kept."""

    @property
    def completed_at(self) -> datetime | None:
        """When it ended, if it has, as far as is known: from then on its age counts (``max_age``).

        A look may come long after the end.
        """
        return self.ended_at or self.observed_at

    @property
    def completed_revision(self) -> int | None:
        """The etcd revision at which it completed; ``None``: that of its key."""
        return None

    @property
    def used_revision(self) -> int | None:
        """The etcd revision up to which whoever uses it has used what has completed; ``None``: that of its key."""
        return None

    @property
    def told_revision(self) -> int | None:
        """The etcd revision at which somebody told that it has completed; ``None``: that of its key."""
        return None

    @property
    def since(self) -> datetime | None:
        """Since when it is in this state, as far as is known."""
        return self.completed_at if self.state.is_terminal else self.observed_at or self.attempt.queued_at


SEEN_AT_ONCE = timedelta(minutes=1)
"""A run that was seen to have ended this soon ended when it was seen: most keep one time, and not two."""


def _end_of(
    end_date: datetime | None, observed_at: datetime | None, queued_at: datetime | None, *, marked: bool | None
) -> datetime | None:
    """When a run ended; ``None``: not known. A person's mark is another end, at the moment of the mark. Where the end
    stands for ``queued_at`` (:func:`shown_queued_at`), the two stay equal."""
    if end_date is not None and end_date == queued_at and not marked:
        return end_date
    if marked or observed_at is None or end_date is None:
        return observed_at if marked else end_date
    return end_date if observed_at - end_date > SEEN_AT_ONCE else observed_at


def _of_a_run(state: State) -> State:
    """:raises ValueError: a run cannot have it."""
    if state is State.SKIPPED:
        raise ValueError("a run is not skipped")
    return state


MOST_EARLIER = 8
"""Earlier attempts of a partition that a run state names."""

_RunId = Annotated[str, Field(max_length=bounds.NAME)]


class EarlierAttempt(BaseModel):
    """An attempt whose place another one has taken, in the JSON of a run state."""

    model_config = ConfigDict(extra="ignore", strict=True)

    run_id: _RunId
    queued_at: Instant | None = None


class RunStateDocument(BaseModel):
    """The JSON of a run state in etcd. Unknown fields are kept."""

    model_config = ConfigDict(extra="allow", strict=True)

    state: Annotated[State, Field(strict=False), AfterValidator(_of_a_run)]
    run_id: _RunId | None = None
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
    earlier: Annotated[tuple[EarlierAttempt, ...], Field(strict=False)] | None = None

    def after(self, present: RunState | Unreadable | None) -> RunStateDocument:
        """The same, as it is written in the place of the present state."""
        found = earlier_attempts(present, self.to_run_state().attempt)
        earlier = tuple(EarlierAttempt(run_id=one.run_id or "", queued_at=one.queued_at) for one in found)
        return self.model_copy(update={"earlier": earlier or None})

    def to_run_state(self) -> RunState:
        return RunState(
            state=self.state,
            attempt=Attempt(run_id=self.run_id, queued_at=self.queued_at, number=self.attempt),
            observed_at=self.observed_at or self.end_date,
            marked=bool(self.marked),
            ended_at=_end_of(self.end_date, self.observed_at or self.end_date, self.queued_at, marked=self.marked),
            earlier=tuple(Attempt(one.run_id, one.queued_at) for one in self.earlier or ()),
            note=self.note if self.state is State.FAILED else None,
        )

    def to_value(self) -> bytes:
        """The bytes for etcd, without empty fields."""
        return self.model_dump_json(exclude_none=True).encode()


class _EarlierFields(msgspec.Struct, gc=False):
    run_id: Annotated[str, msgspec.Meta(max_length=bounds.NAME)]
    queued_at: str | None = None


class _KnownFields(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The same document if it has only known fields, as our own reporters write it.

    It is decoded ten times as fast. A value that it refuses is read as :class:`RunStateDocument`, which decides. Times
    are texts here, so that both read them alike: a fraction of nine digits is cut, not rounded.
    """

    state: State
    run_id: Annotated[str, msgspec.Meta(max_length=bounds.NAME)] | None = None
    queued_at: str | None = None
    attempt: int | None = None
    logical_date: str | None = None
    partition_key: str | None = None
    data_interval_start: str | None = None
    data_interval_end: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    observed_at: str | None = None
    reported_by: str | None = None
    note: str | None = None
    marked: bool | None = None
    earlier: tuple[_EarlierFields, ...] = ()

    def to_run_state(self) -> RunState:
        """:raises ValueError: a time is invalid."""
        for unused in (self.logical_date, self.data_interval_start, self.data_interval_end, self.start_date):
            if unused is not None:
                as_utc(unused)
        queued_at = None if self.queued_at is None else as_utc(self.queued_at)
        end_date = None if self.end_date is None else as_utc(self.end_date)
        observed_at = end_date if self.observed_at is None else as_utc(self.observed_at)
        attempt = Attempt(self.run_id, queued_at, self.attempt)
        ended_at = _end_of(end_date, observed_at, queued_at, marked=self.marked)
        state = _of_a_run(self.state)
        earlier = tuple(
            Attempt(one.run_id, None if one.queued_at is None else as_utc(one.queued_at)) for one in self.earlier
        )
        note = self.note if state is State.FAILED else None
        return RunState(state, attempt, observed_at, bool(self.marked), ended_at, earlier, note)


def earlier_attempts(present: RunState | Unreadable | None, attempt: Attempt) -> tuple[Attempt, ...]:
    """The attempts whose place another one takes in its partition, the last one first; of those that have a run_id.

    :param present: the state that is there.
    """
    if not isinstance(present, RunState):
        return ()
    before = (Attempt(present.attempt.run_id, present.attempt.queued_at), *present.earlier)
    here = Attempt(attempt.run_id, attempt.queued_at)
    return tuple(one for one in dict.fromkeys(before) if one.run_id is not None and one != here)[:MOST_EARLIER]


_decode_known_fields = msgspec.json.Decoder(_KnownFields).decode


def read_run_state(value: bytes) -> RunState | Unreadable:
    """Read the value of a ``state/`` key. Never raises."""
    return read_stored(
        value,
        _run_state_of,
        most=bounds.RUN_STATE,
        what="a run state",
        expected="; expected a state (queued, running, success, failed)",
    )


def _run_state_of(value: bytes) -> RunState:
    try:
        if value.startswith(b"{"):
            return _decode_known_fields(value).to_run_state()
        return RunState(_of_a_run(State(value.strip().strip(b'"').decode())))
    except (msgspec.DecodeError, ValueError):  # says less about what is wrong, and refuses what other writers may add
        return RunStateDocument.model_validate_json(value).to_run_state()


class Verdict(enum.Enum):
    """What to do with a report, given the present state in etcd."""

    NEW = "new"
    REPEAT = "repeat"
    OUTDATED = "outdated"


def evaluate_report(present: RunState | Unreadable | None, report: RunState) -> Verdict:
    """Decide whether a report may replace the present state (docs/architecture.md#which-of-two-reports-counts).

    The same attempt and state again is a repeat. Within an attempt, queued, running or an older terminal observation
    never overwrites a terminal state; a late report of an older attempt never overwrites a newer one. Reports that
    cannot be compared count as new. Within an attempt only another mark overrules a person's mark: a person who marks a
    run knows its own state.
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
