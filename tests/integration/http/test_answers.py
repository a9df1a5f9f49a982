"""``/healthz`` and ``/readyz`` say a word, and nothing else is there but ``/metrics``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coordinator.controller.service import STALLED_AFTER, Health
from tests.integration.http.conftest import HEALTH, Serve

NOT_HERE = (404, "not here; there are /healthz, /readyz and /metrics\n")


@pytest.mark.promise("http")
@pytest.mark.parametrize(
    ("health", "alive", "ready"),
    [
        (HEALTH, (200, "alive\n"), (200, "ready\n")),
        (replace(HEALTH, leads=False), (200, "alive\n"), (200, "ready\n")),
        (replace(HEALTH, connected=False), (200, "alive\n"), (503, "unready\n")),
        (replace(HEALTH, stepped_at=1.0 - STALLED_AFTER), (503, "stalled\n"), (503, "stalled\n")),
    ],
    ids=["leads", "stands by", "is cut off", "stands still"],
)
def test_health_is_a_word_and_a_status(
    serve: Serve, health: Health, alive: tuple[int, str], ready: tuple[int, str]
) -> None:
    client = serve(health=lambda: health)
    assert (client.ask("/healthz").said, client.ask("/readyz?verbose").said) == (alive, ready)
    assert client.ask("/healthz", "HEAD").said == (alive[0], "")


@pytest.mark.promise("http")
@pytest.mark.parametrize("path", ["/", "/metrics/x", "/healthz/", "/readyzz", "/healthz%00", "/change"])
def test_nothing_else_is_there(serve: Serve, path: str) -> None:
    assert serve().ask(path).said == NOT_HERE


@pytest.mark.promise("http")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE"])
def test_nothing_is_changed_over_http(serve: Serve, method: str) -> None:
    client = serve()
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.ask(path, method).status == 405, path


def test_every_answer_names_neither_python_nor_a_library(serve: Serve) -> None:
    client = serve()
    answers = [
        client.ask("/healthz"),
        client.ask("/metrics"),
        client.ask("/nowhere"),
        client.send(b"GET / x HTTP/1.1\r\n\r\n"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 404, 400]
    for answer in answers:
        assert answer.headers["Server"].strip() == "coordinator"
    for answer in answers[:3]:
        assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_without_a_collector_there_are_no_metrics(serve: Serve) -> None:
    answer = serve().ask("/metrics")
    assert (answer.status, list(text_string_to_metric_families(answer.content.decode()))) == (200, [])


def test_a_mistake_of_ours_is_told_to_the_log_and_not_to_who_asks(serve: Serve, logged: list[Any]) -> None:
    def fails() -> Health:
        raise OSError("/secret/path of the watcher")

    assert serve(health=fails).ask("/healthz").said == (500, "a mistake in the coordinator; see its log\n")
    assert [(line["event"], line["log_level"], line["exc_info"]) for line in logged] == [("http.defect", "error", True)]
