"""Graph: what depends on what in one partition, and how each stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coordinator.reading.partition_graph import partition_graph
from coordinator.ui.answers import json_answer
from coordinator.ui.paths import named_in_query
from coordinator.ui.views.view import Api


def routes(api: Api, show: Callable[[Request], Awaitable[Response]]) -> list[Route]:
    """:param show: answers with the page."""

    async def graph(request: Request) -> Response:
        partition = named_in_query(request, "partition")

        def question(*_: object) -> Any:
            return api.live.ask(lambda reading, _: partition_graph(reading, partition))

        name = ("graph", partition, api.live.standing.changes)
        return json_answer(await api.questions.ask(name, question, asks_etcd=False))

    return [Route("/api/v1/graph", graph), Route("/graph", show)]
