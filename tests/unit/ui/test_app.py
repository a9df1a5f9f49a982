"""A mistake of ours is answered without a word about it, and with the headers of every other answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
import structlog

from coordinator.config.settings import Settings
from coordinator.store.keys import Keys
from coordinator.store.memory import MemoryStore
from coordinator.store.memory_etcd import MemoryEtcd
from coordinator.store.port import AccessDenied, Listing
from coordinator.ui.app import application
from coordinator.ui.live import Live


class Failing(MemoryStore):
    """A store that cannot list."""

    def __init__(self, error: Exception) -> None:
        super().__init__(MemoryEtcd())
        self._error = error

    def list(self, *_: Any, **__: Any) -> Listing:
        raise self._error


def ask(error: Exception, path: str = "/api/v1/explain/default/load") -> tuple[int, dict[str, str], Any]:
    """:returns: status, headers and content of the answer."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def main() -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        with contextlib.suppress(RuntimeError):  # it is raised on to the server, which is told to say nothing
            store = Failing(error)
            await application(Settings(), store, Live(store, Keys()))(scope, receive, send)

    asyncio.run(main())
    start, *bodies = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, json.loads(b"".join(one.get("body", b"") for one in bodies))


def test_a_mistake_of_ours_discloses_nothing_and_is_logged() -> None:
    with structlog.testing.capture_logs() as logged:
        status, headers, content = ask(RuntimeError("a secret"))
    assert status == 500
    assert content == {"error": {"kind": "defect", "says": "a mistake in the coordinator; see its log"}}
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    (line,) = logged
    assert (line["event"], line["log_level"]) == ("ui.defect", "error")


@pytest.mark.parametrize(("error", "status", "kind"), [(AccessDenied("etcd refuses: no role"), 502, "etcd_refuses")])
def test_what_etcd_refuses_is_said(error: Exception, status: int, kind: str) -> None:
    found, _, content = ask(error)
    assert (found, content["error"]["kind"]) == (status, kind)
    assert content["error"]["says"] == str(error)
