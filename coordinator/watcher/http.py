"""``/healthz`` and ``/readyz`` of the watcher, for container health checks and load balancers.

``/healthz`` answers 200 while the deciding thread turns; ``/readyz`` when the watcher has also read etcd and its
watch is alive. Both say as JSON who leads and what is wrong. Nothing here changes anything.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from coordinator.errors import ConfigurationError
from coordinator.watcher.service import Health

STALLED_AFTER = 30.0
"""Seconds without a turn of the deciding thread after which the watcher counts as stalled. A turn waits for
etcd at most, whose requests are bounded well below this."""


class HealthServer:
    """Serves a watcher's health in threads of its own. Use as a context manager.

    :param listen: ``host:port``; port 0 takes a free one, see :attr:`port`.
    :raises ConfigurationError: the address cannot be listened on.
    """

    def __init__(self, listen: str, health: Callable[[], Health], monotonic: Callable[[], float]) -> None:
        host, _, port = listen.rpartition(":")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, body = _answer(self.path, health(), monotonic())
                payload = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, format: str, *args: object) -> None:
                """A line for every health check would bury what matters."""

        try:
            self._server = ThreadingHTTPServer((host, int(port)), Handler)
        except (OSError, ValueError, OverflowError) as error:
            raise ConfigurationError(
                f"http.listen: cannot listen on {listen!r}: {error}; expected a free 'host:port'"
            ) from error
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    def __enter__(self) -> HealthServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _answer(path: str, health: Health, now: float) -> tuple[int, dict[str, object]]:
    turning = now - health.stepped_at < STALLED_AFTER
    body = asdict(health) | {"turning": turning}
    del body["stepped_at"]
    match path.partition("?")[0]:
        case "/healthz":
            return (200 if turning else 503), body
        case "/readyz":
            return (200 if turning and health.connected else 503), body
    return 404, {"error": f"no {path} here; there are /healthz and /readyz"}
