"""Names in addresses: each is one segment of the path, percent-encoded whole, so that it may contain a ``/``."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, unquote_to_bytes

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from coordinator.errors import CoordinatorError
from coordinator.model import bounds
from coordinator.model.references import PipelineRef

_LARGEST_REVISION = 2**63 - 1


class BadAddress(CoordinatorError):
    """An address that can name nothing."""


class EncodedPaths:
    """Lets routes see the path as it was sent, with its segments still encoded, and without the prefix.

    :param prefix: what every path may begin with (``ui.url`` has a path); a proxy may take it away.
    """

    def __init__(self, app: ASGIApp, prefix: str = "") -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["raw_path"].decode("ascii", "replace")
            if self._prefix and path.startswith(f"{self._prefix}/"):
                path = path[len(self._prefix) :]
            scope = {**scope, "path": path}
        await self._app(scope, receive, send)


def name_in(request: Request, parameter: str) -> str:
    """A name in the path.

    :raises BadAddress: it is no name.
    """
    encoded = request.path_params[parameter]
    try:
        return _bounded(parameter, unquote_to_bytes(encoded).decode())
    except UnicodeDecodeError:
        raise BadAddress(f"{parameter}: {encoded[:40]!r} is not UTF-8; expected a percent-encoded name") from None


def named_in_query(request: Request, parameter: str) -> str | None:
    """A name in the query. :raises BadAddress: it is no name."""
    name = request.query_params.get(parameter)
    return None if name is None else _bounded(parameter, name)


def _bounded(parameter: str, name: str) -> str:
    if not name or len(name) > bounds.NAME:
        raise BadAddress(f"{parameter}: expected 1 to {bounds.NAME} characters, found {len(name)}")
    return name


def pipeline_in(request: Request) -> PipelineRef:
    """The pipeline that a path names. :raises BadAddress: it names none."""
    environment = name_in(request, "environment")
    if "/" in environment:
        raise BadAddress(f"environment: {environment!r} has a '/'; expected the name of an environment")
    return PipelineRef(environment, name_in(request, "dag_id"))


def number_in(request: Request, parameter: str, *, default: int, most: int = _LARGEST_REVISION) -> int:
    """A whole number in the query. :raises BadAddress: it is none, or too large."""
    text = request.query_params.get(parameter)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= most):
        raise BadAddress(f"{parameter}: expected a whole number up to {most}, found {text[:40]!r}")
    return int(text)


def path_of(*names: str) -> str:
    """The path with these segments."""
    return "".join(_segments(names))


def _segments(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        yield f"/{quote(name, safe='')}"
