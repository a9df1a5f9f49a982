"""Answers as JSON: what was asked for, or the error, with its status."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from coordinator.errors import CoordinatorError
from coordinator.model.named_partitions import NamedPartition
from coordinator.model.partitions.instants import format_instant
from coordinator.model.printable import json_text
from coordinator.reading.naming import UnknownPartition
from coordinator.reading.reading import NoSuchRevision, UnknownPipeline
from coordinator.store.port import AccessDenied, StoreUnavailable
from coordinator.ui.live import NotRead
from coordinator.ui.paths import BadAddress
from coordinator.ui.questions import NoAnswer

RETRY_AFTER = 2
"""Seconds after which a client should ask again."""

_NO_STORE = {"Cache-Control": "no-store"}


class NotFound(CoordinatorError):
    """What the address names is not there.

    :ivar more: fields of the answer besides the message.
    """

    def __init__(self, kind: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.more = more


def json_answer(content: Any, status: HTTPStatus = HTTPStatus.OK, **headers: str) -> Response:
    """An answer as JSON, which nobody keeps."""
    return Response(json_text(content), status, {**_NO_STORE, **headers}, "application/json")


def error_answer(status: HTTPStatus, kind: str, message: str, **more: Any) -> Response:
    """An error as JSON.

    :param kind: the error in one word, for programs.
    """
    again = {"Retry-After": str(RETRY_AFTER)} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return json_answer({"error": {"kind": kind, "says": message, **more}}, status, **again)


def answer_for(error: CoordinatorError, away_since: datetime | None) -> Response:
    """The answer for an error that was raised on purpose.

    :param away_since: since when etcd gives no answer, if it gives none.
    """
    match error:
        case BadAddress():
            return error_answer(HTTPStatus.BAD_REQUEST, "bad_request", str(error))
        case UnknownPipeline():
            near = [{"environment": one.environment, "dag_id": one.dag_id} for one in error.near]
            return error_answer(HTTPStatus.NOT_FOUND, "unknown_pipeline", str(error), near=near)
        case UnknownPartition():
            like = error.named or NamedPartition("", known=False)
            return error_answer(
                HTTPStatus.NOT_FOUND, "unknown_partition", str(error), near=like.near, newest=like.newest
            )
        case NoSuchRevision():
            return error_answer(HTTPStatus.NOT_FOUND, "no_such_revision", str(error))
        case NotFound():
            return error_answer(HTTPStatus.NOT_FOUND, error.kind, str(error), **error.more)
        case StoreUnavailable():
            since = format_instant(away_since) if away_since is not None else None
            return error_answer(HTTPStatus.SERVICE_UNAVAILABLE, "etcd_away", str(error), since=since)
        case NotRead():
            return error_answer(HTTPStatus.SERVICE_UNAVAILABLE, "not_read", str(error))
        case NoAnswer():
            return error_answer(HTTPStatus.SERVICE_UNAVAILABLE, error.kind, str(error))
        case AccessDenied():
            return error_answer(HTTPStatus.BAD_GATEWAY, "etcd_refuses", str(error))
        case _:
            return error_answer(HTTPStatus.BAD_GATEWAY, "etcd_failed", str(error))
