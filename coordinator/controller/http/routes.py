"""The table of routes: which path answers what, and to whom.

Whatever a route may be, it is decided here who reaches it, so that one that is added later cannot forget to ask.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

from coordinator.controller.http.messages import Answer, Request, refusal
from coordinator.controller.http.rights import Rights

_READING = ("GET", "HEAD")


class Access(enum.Enum):
    """Who reaches a route, and by which methods."""

    ANYBODY = enum.auto()
    """Answers everybody; ``Request.details`` says whether with more than a word."""

    READERS = enum.auto()
    """Who may see details."""

    CHANGERS = enum.auto()
    """Changes something: who shows the token."""

    @property
    def methods(self) -> tuple[str, ...]:
        return ("POST",) if self is Access.CHANGERS else _READING


@dataclass(frozen=True, slots=True)
class Route:
    """One path. ``answer`` is called in any thread."""

    path: str
    access: Access
    answer: Callable[[Request], Answer]


class Routes:
    """All of them."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._by_path = {route.path: route for route in routes}

    def find(self, request: Request, rights: Rights) -> Route | Answer:
        """The route for a request, or the answer that refuses it."""
        if request.method not in _READING and not rights.changes:
            # Before the path is looked at: who may change nothing need not learn where things could be changed.
            return _denied(rights, "changing something needs the token")
        route = self._by_path.get(request.path)
        if route is None:
            paths = sorted(path for path, each in self._by_path.items() if each.access is Access.ANYBODY)
            return refusal(HTTPStatus.NOT_FOUND, f"not here; there are {' and '.join(paths)}")
        if request.method not in route.access.methods:
            return refusal(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"this is asked by {' or '.join(route.access.methods)}",
                Allow=", ".join(route.access.methods),
            )
        if route.access is Access.CHANGERS and not rights.changes:
            return _denied(rights, "changing something needs the token")
        if route.access is Access.READERS and not rights.details:
            return _denied(rights, "this is not shown to everybody")
        return route


def _denied(rights: Rights, reason: str) -> Answer:
    if not rights.token_helps:
        return refusal(
            HTTPStatus.FORBIDDEN,
            f"{reason}, and this watcher has none: set http.token_env, http.token_file or http.token_command",
        )
    return refusal(
        HTTPStatus.UNAUTHORIZED,
        f"{reason}: send 'Authorization: Bearer <token>'",
        WWW_Authenticate='Bearer realm="coordinator"',
    )
