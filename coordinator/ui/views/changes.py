"""Changes: server-sent events that say which pipelines have changed, up to which revision, and whether etcd answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from coordinator.model.partitions.instants import format_instant
from coordinator.model.printable import json_text
from coordinator.model.references import PipelineRef
from coordinator.ui.live import Live
from coordinator.ui.questions import NoAnswer
from coordinator.ui.views.view import Api

PATH = "/api/v1/changes"

MOST = 64
"""Windows that are told of changes. Further ones ask again and again."""

NAMED = 200
"""Pipelines that an event names. More are said to be all."""

ALIVE_EVERY = 10.0
"""Seconds without an event after which a comment shows that the server is there."""

TOGETHER = 0.1
"""Seconds for which changes are collected after an event: a burst becomes few events."""

LONGEST = 300.0
"""Seconds after which a stream ends. Browsers open it again by themselves; whoever is gone holds no place for long."""


def routes(api: Api) -> list[Route]:
    """The address of the stream."""

    async def changes(request: Request) -> Response:
        del request
        if api.live.listeners >= MOST:
            raise NoAnswer("busy", f"{MOST} windows follow already; ask again and again instead")
        return StreamingResponse(
            _events(api.live), headers={"Cache-Control": "no-store"}, media_type="text/event-stream"
        )

    return [Route(PATH, changes)]


async def _events(live: Live) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST
    with live.listening() as listener:
        while loop.time() < until:
            try:
                changed = await listener.changed(ALIVE_EVERY)
            except TimeoutError:
                yield ":\n\n"
                continue
            yield f"data: {json_text(_event(live, changed))}\n\n"
            await asyncio.sleep(TOGETHER)


def _event(live: Live, changed: frozenset[PipelineRef] | None) -> dict[str, Any]:
    standing = live.standing
    away = None
    if standing.away_since is not None:
        away = {"since": format_instant(standing.away_since), "says": standing.reason}
    is_named = changed is not None and len(changed) <= NAMED
    return {
        "revision": standing.revision,
        "pipelines": sorted(map(str, changed or ())) if is_named else None,
        "away": away,
    }
