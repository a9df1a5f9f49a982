"""History: what people did, and what was published."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coordinator.reading.history import history_as_json
from coordinator.store.keys import Keys
from coordinator.store.port import Store
from coordinator.ui.answers import json_answer
from coordinator.ui.paths import BadAddress, number_in
from coordinator.ui.views.view import Api

SHOWN = 50
MOST = 500
"""Acts, and publications of an owner, that may be asked for at once."""


def routes(api: Api, show: Callable[[Request], Awaitable[Response]]) -> list[Route]:
    """:param show: answers with the page."""

    async def history(request: Request) -> Response:
        most = number_in(request, "limit", default=SHOWN, most=MOST)
        if not most:
            raise BadAddress("limit: expected at least 1, found 0")

        def question(store: Store, keys: Keys) -> Any:
            return history_as_json(store, keys, most=most)

        return json_answer(await api.questions.ask(("history", most, api.live.standing.revision), question))

    return [Route("/api/v1/history", history), Route("/history", show)]
