"""What Airflow, or whatever stands where it should, answers: an outcome or a documented error, and never more."""

from __future__ import annotations

import base64
import contextlib
import socket
import tempfile
import threading
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from coordinator.config.airflow import AirflowSettings
from coordinator.controller.reconcile.records import adopted, blocked, sent
from coordinator.model import bounds
from coordinator.model.partitions.instants import partition_of_run
from coordinator.model.runstate import Attempt
from coordinator.model.taskstate import dump_task_state, read_task_state, task_state_of
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record, read_record
from coordinator.runners.airflow import checking, looking, starting
from coordinator.runners.airflow.answers import (
    Answer,
    DagAnswer,
    DagsAnswer,
    HealthAnswer,
    RunAnswer,
    RunsAnswer,
    TokenAnswer,
    VersionAnswer,
    read_retry_after,
)
from coordinator.runners.airflow.authentication import Authentication
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.dialect import AIRFLOW_2, AIRFLOW_3
from coordinator.runners.airflow.partitioned import PartitionedDags
from coordinator.runners.port import (
    EnvironmentReport,
    EnvironmentUnavailable,
    Foreign,
    Happened,
    ObservedRun,
    ObservedTask,
    Refused,
    RequestRefused,
    RunOrTask,
    RunRef,
    StartRequest,
    TaskRef,
)
from tests.fuzz.tape import Tape, as_json, tape_of

NOW = "2026-11-20T06:00:00Z"
RUN: dict[str, Any] = {
    "dag_id": "a",
    "dag_run_id": "r",
    "state": "queued",
    "queued_at": NOW,
    "logical_date": "2026-11-20T00:00:00Z",
    "partition_key": None,
    "start_date": None,
    "end_date": None,
    "conf": {"coordinator": {"token": "t", "partition": "2026-11-20T00:00:00Z"}},
}
RUNS = {"dag_runs": [RUN, {**RUN, "dag_run_id": "s"}], "total_entries": 2}
DAG = {"dag_id": "a", "is_paused": False, "is_stale": False}
DAGS = {"dags": [DAG], "total_entries": 1}
HEALTH = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "healthy"}}
DETAIL = {"detail": "The DagRun with dag_id: `a` and run_id: `r` was not found"}
COMPLAINTS = {"detail": [{"loc": ["body", "conf"], "msg": "m", "input": {"secret": 1}}]}
FORMS = (
    RUN,
    RUN,
    RUNS,
    DAG,
    DAGS,
    HEALTH,
    DETAIL,
    COMPLAINTS,
    {"error": "e"},
    {"access_token": "x.y.z"},
    {"version": "3"},
)
STATUSES = (200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 405, 409, 422, 429, 500, 502, 503, 100, 999)
RETRIES = (
    None,
    "1",
    "0",
    "-5",
    "9" * 400,
    "9" * 5000,
    "1e9",
    "nan",
    "Fri, 20 Nov 2026 06:00:00 GMT",
    "x",
    "Fri, 31 Dec 9999 23:59:59 -9999",
    "Mon, 01 Jan 0001 00:00:00 +9999",
    "\x00",
    "1 Jan 99999999999 00:00:00",
)
WORDS = (
    *dict.fromkeys(name for form in FORMS for name in form),
    *("coordinator", "token", "partition", "status", "healthy", "success", "running", "failed", "\\ud800"),
)
LONGEST_RETRY = bounds.RETRY_AFTER
LONGEST_TEXT = 2 * bounds.DETAIL


def answer_of(tape: Tape) -> Answer:
    body = tape.rest() if tape.below(12) == 1 else as_json(tape.spoiled(tape.one_of(FORMS), WORDS, one_in=12))
    if tape.below(24) == 1:
        body = (b"[" * 100_000) if tape.below(2) else b'{"detail":' * 50_000
    retry_after = read_retry_after(tape.one_of(RETRIES))
    assert retry_after is None or 0 <= retry_after <= LONGEST_RETRY
    return Answer(
        question="GET http://127.0.0.1:1/api/v2/x", status=tape.one_of(STATUSES), body=body, retry_after=retry_after
    )


class Scripted:
    """A client whose environment answers as the tape says; silent once the tape is over."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._left = 12
        self.dialect = tape.one_of((AIRFLOW_3, AIRFLOW_2))

    def send(self, *_: object, **__: object) -> Answer:
        self._left -= 1
        if self._left < 0 or not self._tape:
            raise EnvironmentUnavailable("the tape is over")
        return answer_of(self._tape)

    get = post = get_public = send


def answers(data: bytes) -> None:
    tape = tape_of(data)
    if tape is None:
        _every_shape(Answer("GET x", 200, data))
        return
    _conversation(tape, cast(AirflowClient, Scripted(tape)))


def _every_shape(answer: Answer) -> None:
    for shape in (RunAnswer, RunsAnswer, DagAnswer, DagsAnswer, TokenAnswer, VersionAnswer, HealthAnswer):
        with contextlib.suppress(EnvironmentUnavailable):
            answer.read(shape)  # type: ignore[type-var]
    with contextlib.suppress(EnvironmentUnavailable):
        _is_text(answer.detail())
    retry = read_retry_after(answer.body.decode("latin-1"))
    assert retry is None or 0 <= retry <= LONGEST_RETRY, retry


def _is_text(text: str) -> None:
    text.encode()
    assert len(text) <= LONGEST_TEXT


def _conversation(tape: Tape, client: AirflowClient) -> None:
    action = tape.one_of(tuple(Action))
    moment = datetime(2026, 11, 20, tzinfo=UTC)
    request = StartRequest(
        "a", action, "r", "t", logical_date=moment, conf={}, before=moment if action is Action.CLEAR else None
    )
    deadline = Deadline(60)
    record = TriggerRecord(Status.INTENT, 1, action, "r", "t", 7)
    try:
        match tape.below(5):
            case 0 | 1:
                outcome = starting.start(client, PartitionedDags(), request, deadline)
                _can_be_kept(record, outcome)
            case 2:
                _can_be_kept(record, starting.ask(client, request, deadline))
            case 3:
                asked: list[RunOrTask] = [RunRef("a", "r"), RunRef("a", "s"), RunRef("b", "..")]
                asked += [TaskRef("a", "r", "t"), TaskRef("a", "s", "..")]
                looked = looking.look(client, asked, deadline)
                for run in looked.runs.values():
                    if run is not None:
                        _run_can_be_used(run)
                for task in looked.seen.values():
                    if isinstance(task, ObservedTask):
                        _task_can_be_kept(task)
            case _:
                report = checking.check(client, PartitionedDags(), ["a", "b", ".."], request_timeout=60)
                assert isinstance(report, EnvironmentReport)
                _login(tape)
    except (EnvironmentUnavailable, RequestRefused) as error:
        _is_text(str(error))


def _task_can_be_kept(task: ObservedTask) -> None:
    run = Attempt(task.run.run_id, task.run.queued_at)
    state = task_state_of(task.instances, run=run, observed_at=None)
    assert read_task_state(dump_task_state(state, reported_by="us")) == state


def _can_be_kept(record: TriggerRecord, outcome: object) -> None:
    """What came of it is written into the trigger record, and must be readable there."""
    match outcome:
        case Happened(run):
            kept = sent(record, run)
            _run_can_be_used(run)
        case Foreign(run):
            kept = adopted(record, run)
            _run_can_be_used(run)
        case Refused(_, answer):
            _is_text(answer)
            kept = blocked(record, answer)
        case _:
            return
    assert read_record(dump_record(kept)) == kept


def _run_can_be_used(run: ObservedRun) -> None:
    partition = partition_of_run(
        run_id=run.run_id, logical_date=run.logical_date, partition_key=run.partition_key, conf=run.conf
    )
    partition.encode()
    assert run.token is None or run.token.encode() or run.token == ""


def _login(tape: Tape) -> None:
    claims = tape.spoiled({"iat": 1, "exp": tape.number()}, WORDS)
    token = f"x.{base64.urlsafe_b64encode(as_json(claims)).decode()}.z"
    body = tape.one_of((as_json({"access_token": token}), as_json({"access_token": tape.text()}), tape.raw()))
    settings = AirflowSettings(url="http://127.0.0.1:1", username="u", password_file=_password())
    authentication = Authentication("default", settings, lambda *_: Answer("POST x", 201, body))
    with contextlib.suppress(EnvironmentUnavailable, RequestRefused):
        header = authentication.header(Deadline(60))
        assert header is not None
        header.encode("ascii")


@lru_cache(maxsize=1)
def _password() -> Path:
    file = Path(tempfile.mkdtemp(prefix="fuzzed-")) / "password"
    file.write_text("p", encoding="utf-8")
    return file


# The real client, down to the socket


class _Line:
    """Answers each connection with what is laid down, and hangs up."""

    def __init__(self) -> None:
        self.bytes = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                connection.sendall(self.bytes)


@lru_cache(maxsize=1)
def _line() -> tuple[_Line, AirflowClient]:
    line = _Line()
    return line, AirflowClient("default", AirflowSettings(url=line.url))


def http(data: bytes) -> None:
    line, client = _line()
    tape = tape_of(data)
    line.bytes = data if tape is None else _response(tape)
    try:
        answer = client.get_public("/version", deadline=Deadline(1.0))
        _every_shape(answer)
    except EnvironmentUnavailable as error:
        _is_text(str(error))
    client.close()


def _response(tape: Tape) -> bytes:
    body = tape.rest() if tape.below(4) == 1 else as_json(tape.spoiled(tape.one_of(FORMS), WORDS))
    headers = [f"HTTP/1.{tape.below(3)} {tape.one_of(STATUSES)} {tape.text()}"]
    for name, values in (
        ("Content-Length", (str(len(body)), str(len(body) + 9), "-1", "9" * 400, "x", "1, 2")),
        ("Transfer-Encoding", ("chunked", "gzip, chunked", "x")),
        ("Content-Encoding", ("gzip", "deflate", "br", "zstd", "x", "gzip, gzip, gzip")),
        ("Retry-After", tuple(value or "" for value in RETRIES)),
        ("Set-Cookie", ("a=b; Max-Age=x; Path=\\; Domain=..", "=;;=", "a=b; expires=Thu, 99 Foo 99999999")),
        ("Content-Type", ("text/html; charset=x", "application/json")),
        ("Location", ("http://[", "//", "\\\\x")),
    ):
        if tape.below(3) == 1:
            headers.append(f"{name}: {tape.one_of(values)}")
    return "\r\n".join(headers).encode("utf-8", "replace") + b"\r\n\r\n" + body
