"""``/healthz`` and ``/readyz`` say a word, and nothing else is there but ``/metrics``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from coordinator.controller.service import STALLED_AFTER, Liveness
from tests.integration.http.conftest import LIVENESS, Reply, Serve


def fails() -> Liveness:
    raise OSError("/secret/path of the watcher")


NOT_HERE = (404, "not here; there are /healthz, /readyz and /metrics\n")


@pytest.mark.promise("http")
@pytest.mark.parametrize(
    ("liveness", "alive", "ready"),
    [
        (LIVENESS, (200, "alive\n"), (200, "ready\n")),
        (replace(LIVENESS, connected=False), (200, "alive\n"), (503, "unready\n")),
        (replace(LIVENESS, stepped_at=1.0 - STALLED_AFTER), (503, "stalled\n"), (503, "stalled\n")),
    ],
    ids=["works", "is cut off", "stands still"],
)
def test_health_is_a_word_and_a_status(
    serve: Serve, liveness: Liveness, alive: tuple[int, str], ready: tuple[int, str]
) -> None:
    client = serve(liveness=lambda: liveness)
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
        client.send(b"GET /<b>x</b> HTTP/9.9\r\n\r\n"),
        client.send(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n"),
        serve(liveness=fails).ask("/healthz"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 404, 400, 505, 431, 500]
    for answer in answers:
        assert answer.headers["Server"].strip() == "coordinator"
        assert answer.headers["Content-Type"].startswith("text/plain")
        assert b"<" not in answer.content
        assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_without_a_collector_there_are_no_metrics(serve: Serve) -> None:
    answer = serve().ask("/metrics")
    assert (answer.status, list(text_string_to_metric_families(answer.content.decode()))) == (200, [])


@pytest.mark.promise("http")
@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=z",
        "application/openmetrics-text; version=1.0.0; escaping=x",
        "application/openmetrics-text;version=\xff",
        "text/plain;version=1.0.0;escaping=values",
    ],
)
def test_metrics_are_answered_whatever_format_is_asked_for(serve: Serve, logged: list[Any], accept: str) -> None:
    answer = serve(metrics=_OneGauge()).ask("/metrics", Accept=accept)
    assert (answer.status, _families(answer)) == (200, ["one"])
    assert answer.headers["Cache-Control"] == "no-store"
    assert logged == []


def test_all_metrics_are_answered_whatever_the_query(serve: Serve) -> None:
    assert _families(serve(metrics=_OneGauge()).ask("/metrics?name[]=one&name[]=other")) == ["one"]


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/nowhere"])
def test_head_is_get_without_the_content(serve: Serve, path: str) -> None:
    client = serve(metrics=_OneGauge())
    got, head = client.ask(path), client.ask(path, "HEAD")
    assert (head.status, head.content) == (got.status, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"] == str(len(got.content))


class _OneGauge(Collector):
    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("one", "One.", value=1)


def _families(answer: Reply) -> list[str]:
    return [family.name for family in text_string_to_metric_families(answer.content.decode())]


def test_a_mistake_of_ours_is_told_to_the_log_and_not_to_who_asks(serve: Serve, logged: list[Any]) -> None:
    assert serve(liveness=fails).ask("/healthz").said == (500, "a mistake in the coordinator; see its log\n")
    assert [(line["event"], line["log_level"], line["exc_info"]) for line in logged] == [("http.defect", "error", True)]
