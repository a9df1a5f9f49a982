"""The models of Airflow's answers, and their validation. Unknown fields are ignored: newer versions add some."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, FailFast, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.model.runstate import Instant, State, shown_queued_at
from coordinator.model.taskstate import TaskInstance
from coordinator.runners.port import AnswerTooLarge, EnvironmentUnavailable, ObservedRun, ServerFailed

_LONGEST_HEADER = 100
"""Characters of a ``Retry-After``; a date has 29."""

_Shape = TypeVar("_Shape", bound=BaseModel)
_Item = TypeVar("_Item")
_Page = Annotated[list[_Item], FailFast()]
"""Without ``FailFast`` pydantic keeps each error: for a page of zeros, a hundred times its size."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _OrNone:
    """Any other value counts as ``None``, and is not validated: anybody may start a run with any conf."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_default_schema(handler(source), default=None, on_error="default")


class _OurPart(_Answer):
    token: Annotated[str | None, _OrNone()] = None
    partition: Annotated[str | None, _OrNone()] = None
    item: Annotated[str | None, _OrNone()] = None
    row: Annotated[str | None, _OrNone()] = None


class _OurConf(_Answer):
    """The part of a run's conf that identifies our runs. The rest may be large, and anybody may have written it."""

    coordinator: Annotated[_OurPart | None, _OrNone()] = None


def _what_identifies_ours(conf: _OurConf | None) -> dict[str, Any]:
    ours = conf.coordinator.model_dump(exclude_none=True) if conf is not None and conf.coordinator is not None else {}
    return {"coordinator": ours} if ours else {}


class RunAnswer(_Answer):
    """``DAGRunResponse``."""

    dag_id: str
    dag_run_id: str
    state: State
    queued_at: Instant | None
    logical_date: Instant | None = None
    partition_key: str | None = None
    start_date: Instant | None = None
    end_date: Instant | None = None
    conf: _OurConf | None = None

    def observed(self) -> ObservedRun:
        return ObservedRun(
            dag_id=self.dag_id,
            run_id=self.dag_run_id,
            state=self.state,
            queued_at=shown_queued_at(self.queued_at, self.end_date),
            logical_date=self.logical_date,
            partition_key=self.partition_key,
            start_date=self.start_date,
            end_date=self.end_date,
            conf=_what_identifies_ours(self.conf),
        )


class RunsAnswer(_Answer):
    """``DAGRunCollectionResponse``, paged by offset."""

    dag_runs: _Page[RunAnswer]
    total_entries: int


class OldRunAnswer(_Answer):
    """``DAGRun`` of Airflow 2, which has no ``queued_at`` and no partition keys."""

    dag_id: str
    dag_run_id: str
    state: State
    logical_date: Instant | None
    start_date: Instant | None
    end_date: Instant | None = None
    conf: _OurConf | None = None

    def observed(self, *, unstarted: datetime) -> ObservedRun:
        """:param unstarted: stands for the start of a run that has neither started nor ended."""
        run = RunAnswer(
            dag_id=self.dag_id,
            dag_run_id=self.dag_run_id,
            state=self.state,
            queued_at=self.start_date or self.end_date or unstarted,
            logical_date=self.logical_date,
            start_date=self.start_date,
            end_date=self.end_date,
            conf=self.conf,
        ).observed()
        return replace(run, is_estimated=self.start_date is None and self.end_date is None)


class OldRunsAnswer(_Answer):
    """``DAGRunCollection`` of Airflow 2."""

    dag_runs: _Page[OldRunAnswer]
    total_entries: int


class TaskInstanceAnswer(_Answer):
    """``TaskInstanceResponse``."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int
    id: str | None = None
    state: str | None
    try_number: int
    start_date: Instant | None = None
    end_date: Instant | None = None

    def instance(self) -> TaskInstance:
        return TaskInstance(self.map_index, self.id, self.state, self.try_number, self.start_date, self.end_date)


class TaskInstancesAnswer(_Answer):
    """``TaskInstanceCollectionResponse``, paged by offset."""

    task_instances: _Page[TaskInstanceAnswer]
    total_entries: int


_AT_RUNTIME = "PartitionedAtRuntime"
"""The summary of the one timetable whose runs take a key although ``timetable_partitioned`` is false: nothing in
Airflow gives its runs a key (``timetables/simple.py``)."""


class DagAnswer(_Answer):
    """``DAGResponse``. ``is_stale``: the file that defined the DAG no longer does."""

    dag_id: str
    is_paused: bool
    is_stale: bool = False
    timetable_partitioned: bool = False
    timetable_summary: str | None = None

    @property
    def is_partitioned(self) -> bool:
        """Whether its runs take a ``partition_key``."""
        return self.timetable_partitioned or self.timetable_summary == _AT_RUNTIME

    @property
    def is_started_by_assets(self) -> bool:
        """Whether its schedule names assets. Airflow's three timetables with assets say so (``timetables/simple.py``,
        ``timetables/assets.py``)."""
        words = (self.timetable_summary or "").split()
        return "Asset" in words


class _TaskOfDag(_Answer):
    task_id: str


class TasksOfDagAnswer(_Answer):
    """``TaskCollectionResponse``: the tasks that a DAG has now. It is the same in Airflow 2."""

    tasks: list[_TaskOfDag]


class OldDagAnswer(_Answer):
    """``DAG`` of Airflow 2. ``is_active``: a file defines it."""

    dag_id: str
    is_paused: bool | None
    is_active: bool | None = True
    timetable_description: str | None = None

    def dag(self) -> DagAnswer:
        by_datasets = (self.timetable_description or "").startswith("Triggered by datasets")
        return DagAnswer(
            dag_id=self.dag_id,
            is_paused=bool(self.is_paused),
            is_stale=self.is_active is False,
            timetable_summary="Asset" if by_datasets else None,
        )


class OldDagsAnswer(_Answer):
    """``DAGCollection`` of Airflow 2."""

    dags: _Page[OldDagAnswer]
    total_entries: int


class DagsAnswer(_Answer):
    """``DAGCollectionResponse``, paged by offset."""

    dags: _Page[DagAnswer]
    total_entries: int


class AssetAnswer(_Answer):
    """``AssetResponse``; ``Dataset`` of Airflow 2."""

    id: int
    uri: str


class AssetsAnswer(_Answer):
    """``AssetCollectionResponse``, paged by offset; ``DatasetCollection`` of Airflow 2."""

    assets: _Page[AssetAnswer] = Field(validation_alias=AliasChoices("assets", "datasets"))
    total_entries: int


class AssetEventAnswer(_Answer):
    """``AssetEventResponse``; ``DatasetEvent`` of Airflow 2."""

    timestamp: Instant
    extra: Annotated[dict[str, Any] | None, _OrNone()] = None


class AssetEventsAnswer(_Answer):
    """``AssetEventCollectionResponse``, paged by offset; ``DatasetEventCollection`` of Airflow 2."""

    asset_events: _Page[AssetEventAnswer] = Field(validation_alias=AliasChoices("asset_events", "dataset_events"))
    total_entries: int


class TokenAnswer(_Answer):
    access_token: str


class VersionAnswer(_Answer):
    version: str


class _Component(_Answer):
    status: str | None = None


class _Scheduler(_Component):
    latest_scheduler_heartbeat: Instant | None = None


class HealthAnswer(_Answer):
    """``HealthInfoResponse``. A component that is not run has no status."""

    metadatabase: _Component
    scheduler: _Scheduler


TRY_AGAIN = (408, 421, 425, 429)
"""The 4xx statuses that do not concern the request itself (RFC 9110, RFC 8470, RFC 6585)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is validated.

    :ivar question: method and address, for messages.
    :ivar date: when it was made, by the clock of the environment, if it says so.
    :ivar secrets: the credentials that were sent. A proxy may repeat them in its refusal.
    """

    question: str
    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None
    date: datetime | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def read(self, shape: type[_Shape]) -> _Shape:
        """The validated body.

        :raises EnvironmentUnavailable: it has another form.
        :raises AnswerTooLarge: it has too many parts.
        """
        self._check_size()
        try:
            return _validated(shape, self.body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "body"
            raise self.unavailable(f"unexpected response: {place}: {first['msg']}") from None

    def detail(self, *, limit: int | None = bounds.DETAIL) -> str:
        """The text of a refusal, shortened and without our credentials.

        :raises EnvironmentUnavailable: the body is not Airflow's ``{"detail": ...}``. Something in between answered,
            such as a load balancer with its own 404 while its backend is down: that does not concern the DAG.
        """
        self._check_size()
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, Mapping) or not ("detail" in document or "error" in document):
            raise self.unavailable('no JSON with a "detail", so not Airflow\'s own answer')
        # Airflow 3 answers with "error" to an unknown address: {"error": "API route not found"}; Airflow 2 refuses with
        # a title and no detail.
        detail = document.get("detail") or document.get("error") or document.get("title")
        text = detail if isinstance(detail, str) else json.dumps(_without_input(detail), ensure_ascii=False)
        for secret in self.secrets:
            text = text.replace(secret, "***").replace(json.dumps(secret)[1:-1], "***")
        return printable(text, limit=limit)

    def _check_size(self) -> None:
        """:raises AnswerTooLarge: it has so many values that they need too much memory, however few its bytes are."""
        parts = sum(map(self.body.count, (b"{", b"[", b",")))
        if parts > bounds.ANSWER_PARTS:
            raise AnswerTooLarge(
                f"{self.question} answered {self.status} with {parts} values; expected at most {bounds.ANSWER_PARTS}"
            )

    def unavailable(self, why: str | None = None) -> EnvironmentUnavailable:
        """The error for an answer that does not settle the question."""
        reason = f": {printable(why, limit=bounds.DETAIL)}" if why else ""
        error = ServerFailed if self.status >= 500 else EnvironmentUnavailable
        return error(f"{self.question} answered {self.status}{reason}", retry_after=self.retry_after)

    def raise_if_unsettled(self) -> None:
        """:raises EnvironmentUnavailable: 5xx, a status that the API does not have (1xx, 3xx), or :data:`TRY_AGAIN`."""
        if 300 <= self.status < 400:
            raise self.unavailable("a redirect, which is not followed; set the environment's url to the API itself")
        if self.status in TRY_AGAIN or self.status >= 500 or self.status < 200:
            raise self.unavailable()


def _validated(shape: type[_Shape], body: bytes) -> _Shape:
    """Anybody may start a run with half of a surrogate pair in its conf, which no strict reader of JSON takes. It
    becomes a question mark: no name that Airflow takes has one.

    :raises ValidationError: it has another form.
    """
    try:
        return shape.model_validate_json(body)
    except ValidationError:
        try:
            text = json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
        except (ValueError, RecursionError):
            text = body
    return shape.model_validate_json(text)


def _without_input(detail: Any) -> Any:
    """A 422 repeats the whole input with each of its errors; people need only the error."""
    if isinstance(detail, list):
        return [
            {key: entry[key] for key in ("loc", "msg") if key in entry} if isinstance(entry, dict) else entry
            for entry in detail
        ]
    return detail


def read_retry_after(value: str | None) -> float | None:
    """The seconds of a ``Retry-After`` header: a number, or a date. ``None`` if there is no readable one.

    At most :data:`bounds.RETRY_AFTER`.
    """
    if not value or len(value) > _LONGEST_HEADER:
        return None
    try:
        seconds = float(value) if re.fullmatch("-?[0-9]+", value.strip()) else _seconds_until(value)
    except (ValueError, OverflowError):  # no date, or one outside of the calendar
        return None
    return min(max(0.0, seconds), bounds.RETRY_AFTER)


def _seconds_until(date: str) -> float:
    return (_read_http_date(date) - datetime.now(UTC)).total_seconds()


def read_date(value: str | None) -> datetime | None:
    """The moment in a ``Date`` header; ``None`` if there is no readable one."""
    if not value or len(value) > _LONGEST_HEADER:
        return None
    try:
        return _read_http_date(value)
    except (ValueError, OverflowError):
        return None


def _read_http_date(date: str) -> datetime:
    at = parsedate_to_datetime(date)
    return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
