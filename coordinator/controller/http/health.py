"""``/healthz`` and ``/readyz`` of the watcher, for container health checks and load balancers.

``/healthz`` answers 200 while the deciding thread turns; ``/readyz`` when the watcher has also read etcd and its
watch is alive. Everybody gets the status and a word; who may see details also who leads and what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus

from coordinator.controller.http.messages import Answer, Request
from coordinator.controller.http.routes import Access, Route
from coordinator.controller.service import STALLED_AFTER, Health


def health_routes(health: Callable[[], Health], monotonic: Callable[[], float]) -> tuple[Route, ...]:
    """The routes of a watcher. ``monotonic``: the clock of :attr:`Health.stepped_at`."""

    def alive(request: Request) -> Answer:
        found = health()
        turning = _turns(found, monotonic())
        return _answer(request, found, turning, good=turning, word="turning" if turning else "stalled")

    def ready(request: Request) -> Answer:
        found = health()
        turning = _turns(found, monotonic())
        word = "stalled" if not turning else "ready" if found.connected else "not ready"
        return _answer(request, found, turning, good=turning and found.connected, word=word)

    return Route("/healthz", Access.ANYBODY, alive), Route("/readyz", Access.ANYBODY, ready)


def _turns(health: Health, now: float) -> bool:
    return now - health.stepped_at < STALLED_AFTER


def _answer(request: Request, health: Health, turning: bool, *, good: bool, word: str) -> Answer:
    body: dict[str, object] = {"status": word}
    if request.details:
        body |= asdict(health) | {"turning": turning}
        del body["stepped_at"]
    return Answer(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, body)
