"""Explain: why a pipeline runs in a partition, or does not; and its newest partitions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from coordinator.reading.explaining import explained
from coordinator.reading.moments import moments
from coordinator.reading.naming import UnknownPartition, unknown_partition
from coordinator.reading.newest import newest_partitions
from coordinator.reading.task_explained import task_explained
from coordinator.store.keys import Keys
from coordinator.store.port import Store
from coordinator.ui.answers import json_answer
from coordinator.ui.paths import BadAddress, name_in, named_in_query, number_in, pipeline_in
from coordinator.ui.views.view import Api

NEWEST = 20
MOST = 200
"""Partitions that may be asked for at once."""

MOMENTS = 15
"""Earlier states of an explanation that are looked for at once."""

_PIPELINE = "/explain/{environment}/{dag_id}"
_PARTITION = _PIPELINE + "/{partition}"


def routes(api: Api, show: Callable[[Request], Awaitable[Response]]) -> list[Route]:
    """:param show: answers with the page."""

    def told_of(request: Request) -> int:
        """The change that made the reader ask: an answer from before it is not good enough."""
        return min(number_in(request, "after", default=0), api.live.standing.revision)

    async def newest(request: Request) -> Response:
        pipeline, revision = pipeline_in(request), number_in(request, "rev", default=0)
        most = number_in(request, "limit", default=NEWEST, most=MOST)
        if not most:
            raise BadAddress("limit: expected at least 1, found 0")

        def question(store: Store, keys: Keys) -> Any:
            return newest_partitions(store, keys, pipeline, most=most, revision=revision).as_json()

        return json_answer(await api.questions.ask(("newest", pipeline, most, revision, told_of(request)), question))

    async def partition(request: Request) -> Response:
        pipeline, typed = pipeline_in(request), name_in(request, "partition")
        revision, task = number_in(request, "rev", default=0), named_in_query(request, "task")

        def question(store: Store, keys: Keys) -> Any:
            if task is not None:
                return task_explained(store, keys, pipeline, typed, task, revision=revision).as_json()
            found = explained(store, keys, pipeline, typed, revision=revision, limits=api.limits)
            if not found.named.known:
                raise UnknownPartition(
                    unknown_partition(found.explanation.decision.target, found.named), named=found.named
                )
            return found.as_json()

        name = ("explain", pipeline, typed, task, revision, told_of(request))
        return json_answer(await api.questions.ask(name, question))

    async def history(request: Request) -> Response:
        pipeline, typed = pipeline_in(request), name_in(request, "partition")

        def question(store: Store, keys: Keys) -> Any:
            return [one.as_json() for one in moments(store, keys, pipeline, typed, limits=api.limits, most=MOMENTS)]

        name = ("moments", pipeline, typed, told_of(request))
        return json_answer({"moments": await api.questions.ask(name, question), "most": MOMENTS})

    return [
        Route("/api/v1" + _PARTITION + "/moments", history),
        Route("/api/v1" + _PARTITION, partition),
        Route("/api/v1" + _PIPELINE, newest),
        Route(_PARTITION, show),
        Route(_PIPELINE, show),
    ]
