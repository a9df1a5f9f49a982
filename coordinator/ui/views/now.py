"""Now: what needs a person first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coordinator.config.settings import Settings
from coordinator.reading.now import now_as_json
from coordinator.ui.answers import json_answer
from coordinator.ui.views.view import Api

GOOD_FOR = 5.0
"""Seconds for which an answer is given again while nothing has changed: only ages and signs of life differ."""


def routes(api: Api, settings: Settings, show: Callable[[Request], Awaitable[Response]]) -> list[Route]:
    """:param show: answers with the page."""

    async def now(request: Request) -> Response:
        del request

        def question(*_: object) -> Any:
            return api.live.ask(lambda reading, at: now_as_json(reading, settings, at))

        name = ("now", api.live.standing.changes)
        return json_answer(await api.questions.ask(name, question, good_for=GOOD_FOR, asks_etcd=False))

    return [Route("/api/v1/now", now), Route("/", show)]
