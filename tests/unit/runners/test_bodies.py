"""Whatever comes over the line is read up to a bound, and becomes an answer or "no answer"."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from coordinator.config.airflow import AirflowSettings
from coordinator.model import bounds
from coordinator.runners.airflow.answers import Answer, RunAnswer, RunsAnswer, VersionAnswer, read_retry_after
from coordinator.runners.airflow.client import AirflowClient
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.port import AnswerTooLarge, EnvironmentUnavailable

Say = Callable[[bytes, int], None]
MIB = 1024 * 1024


@pytest.fixture
def line() -> Iterator[tuple[AirflowClient, Say]]:
    """A client, and what is said to it: a head, and so many times a body, as long as it listens."""
    listener = socket.create_server(("127.0.0.1", 0))
    said: list[tuple[bytes, int]] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                head, times = said[-1]
                connection.sendall(head)
                for _ in range(times):
                    connection.sendall(b"x" * MIB)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    client = AirflowClient("default", AirflowSettings(url=f"http://127.0.0.1:{listener.getsockname()[1]}"))
    yield client, lambda head, times: said.append((head, times))
    client.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def memory() -> int:
    with open("/proc/self/statm", encoding="ascii") as figures:
        return int(figures.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.promise("bad-input")
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 x\r\n\r\n",
        b"HTTP/1.1 200 x\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n",
    ],
    ids=["until it closes", "announced", "one chunk"],
)
def test_a_body_without_end_is_cut_off(line: tuple[AirflowClient, Say], head: bytes) -> None:
    client, say = line
    say(head, 400)
    before = memory()
    with pytest.raises(EnvironmentUnavailable, match=f"more than {bounds.ANSWER} bytes"):
        client.get_public("/version", deadline=Deadline(60))
    assert memory() - before < 3 * bounds.ANSWER


@pytest.mark.promise("bad-input")
def test_the_body_of_a_redirect_is_not_read_without_bound(line: tuple[AirflowClient, Say]) -> None:
    client, say = line
    say(b"HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:1/\r\n\r\n", 400)
    with pytest.raises(EnvironmentUnavailable, match=f"more than {bounds.ANSWER} bytes"):
        client.get_public("/version", deadline=Deadline(60))


def test_a_body_that_unfolds_is_cut_off(line: tuple[AirflowClient, Say]) -> None:
    client, say = line
    bomb = gzip.compress(b"\0" * (5 * bounds.ANSWER), 1)
    say(b"HTTP/1.1 200 x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb, 0)
    before = memory()
    with pytest.raises(EnvironmentUnavailable, match=f"more than {bounds.ANSWER} bytes"):
        client.get_public("/version", deadline=Deadline(60))
    assert memory() - before < 3 * bounds.ANSWER


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 x\r\n" + b"Set-Cookie: a=b\r\n" * 5000,
        b"HTTP/1.1 200 x\r\n" + b"X: " + b"x" * bounds.ANSWER_HEAD,
        b"HTTP/1.1 200 " + b"x" * 60_000 + b"\r\nX: " + b"x" * 60_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
    ],
    ids=["many headers", "a long header", "together", "heads that say to go on"],
)
def test_a_head_without_end_is_cut_off(line: tuple[AirflowClient, Say], head: bytes) -> None:
    client, say = line
    say(head, 0)
    with pytest.raises(EnvironmentUnavailable, match=r"a head of more than|got more than"):
        client.get_public("/version", deadline=Deadline(10))


@pytest.mark.parametrize("location", [b"http://[", b"//", b"\\\\x", b"http://a..b/"])
def test_a_redirect_leads_nowhere_whatever_it_says(line: tuple[AirflowClient, Say], location: bytes) -> None:
    client, say = line
    say(b"HTTP/1.1 307 x\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n", 0)
    answer = client.get_public("/version", deadline=Deadline(10))
    assert answer.status == 307
    with pytest.raises(EnvironmentUnavailable, match="a redirect"):
        answer.raise_if_unsettled()


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"deflate", b"gzip, gzip", b"x"])
def test_what_is_packed_otherwise_than_was_asked_for_is_no_answer(
    line: tuple[AirflowClient, Say], encoding: bytes
) -> None:
    client, say = line
    say(b"HTTP/1.1 200 x\r\nContent-Encoding: " + encoding + b"\r\nContent-Length: 2\r\n\r\n{}", 0)
    with pytest.raises(EnvironmentUnavailable, match=r"Content-Encoding .*; expected gzip or none"):
        client.get_public("/version", deadline=Deadline(10))


@pytest.mark.parametrize("value", [b"[]", b"{}", b"0"])
def test_an_answer_of_too_many_values_is_not_taken_apart(line: tuple[AirflowClient, Say], value: bytes) -> None:
    """Small on the line, each takes a hundred times its size when it is read."""
    client, say = line
    page = b'{"version": "3", "more": [' + (value + b",") * bounds.ANSWER_PARTS + b"0]}"
    say(b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n" % len(page) + page, 0)
    answer = client.get_public("/version", deadline=Deadline(60))
    with pytest.raises(AnswerTooLarge, match="values; expected at most"):
        answer.read(VersionAnswer)
    with pytest.raises(AnswerTooLarge, match="values; expected at most"):
        answer.detail()


def test_a_conf_that_is_not_ours_keeps_nothing_from_being_read() -> None:
    """Anybody may start a run with any conf."""
    strange: list[object] = [1, [{}], {"token": ["x"] * 99}]
    for conf in (*({"coordinator": one} for one in strange), {"other": 1}, None):
        run = {"dag_id": "d", "dag_run_id": "r", "state": "queued", "queued_at": None, "conf": conf}
        observed = Answer("GET x", 200, json.dumps(run).encode()).read(RunAnswer).observed()
        assert (observed.token, observed.conf) == (None, {})


def test_a_page_of_nothing_but_mistakes_is_no_answer(line: tuple[AirflowClient, Say]) -> None:
    client, say = line
    page = b'{"dag_runs": [' + b"0," * (bounds.ANSWER_PARTS - 10) + b'0], "total_entries": 1}'
    say(b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n" % len(page) + page, 0)
    answer = client.get_public("/version", deadline=Deadline(60))
    before = memory()
    with pytest.raises(EnvironmentUnavailable, match=r"unexpected response: dag_runs\.0: "):
        answer.read(RunsAnswer)
    assert memory() - before < 100 * len(page), "a mistake for each of the items is kept"


def test_a_host_name_that_is_none_is_no_answer() -> None:
    settings = AirflowSettings.model_construct(url="http://a..b:1")
    client = AirflowClient("default", settings)
    with pytest.raises(EnvironmentUnavailable, match="no answer"):
        client.get_public("/version", deadline=Deadline(10))


@pytest.mark.parametrize("value", ["999999999", "9" * 90, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_no_answer_silences_an_environment_for_longer_than_a_minute(value: str) -> None:
    assert read_retry_after(value) == bounds.RETRY_AFTER


@pytest.mark.parametrize("value", ["9" * 400, "1 Jan 99999999999 00:00:00", "\x00", "²", "1e9", "0x10", "--1"])
def test_what_is_no_time_is_none(value: str) -> None:
    assert read_retry_after(value) is None
