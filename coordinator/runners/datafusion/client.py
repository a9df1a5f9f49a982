"""The requests to CDAP, and its answers. What each does: the package's docstring.

The transport is that of Airflow's client: a connection for each thread, with one deadline for each exchange and a
permit at the socket (:mod:`coordinator.runners.airflow.route`).
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import requests
from requests.utils import get_environ_proxies
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.runners.airflow.answers import TRY_AGAIN, read_date, read_retry_after
from coordinator.runners.airflow.client import reason_of
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.google import GoogleTokens
from coordinator.runners.airflow.route import Route
from coordinator.runners.datafusion.settings import DataFusionSettings, Pipeline
from coordinator.runners.port import (
    AnswerTooLarge,
    EnvironmentUnavailable,
    NotSent,
    Permit,
    RequestRefused,
    ServerFailed,
)
from coordinator.version import __version__

PAGE = 200
"""Records of a request; a list that is longer is asked for in parts."""

_SMALLEST = 1
"""Seconds: CDAP tells no shorter ones apart."""

_MOST_IN_A_SECOND = 5000
_AHEAD = 24 * 3600
_PIECE = 64 * 1024
_RENEW_EARLY = 0.1

_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_STATUS = re.compile(r"[A-Z_]{1,40}")

_HEADERS = {"User-Agent": f"coordinator/{__version__}", "Accept": "application/json", "Accept-Encoding": "identity"}


class Record(msgspec.Struct, frozen=True):
    """A run as CDAP lists it. The times are seconds since 1970."""

    runid: str
    status: str
    starting: float
    start: float | None = None
    end: float | None = None
    properties: dict[str, Any] = {}


class Started(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one program of a start."""

    status_code: int
    run_id: str | None = None
    error: str | None = None


class _Version(msgspec.Struct, frozen=True):
    version: str


_Shape = TypeVar("_Shape")


@dataclass(frozen=True, slots=True)
class CdapAnswer:
    """An answer.

    :ivar question: method and address. :ivar date: when it was made, by CDAP's clock.
    :ivar secrets: our credentials, which something in between may repeat.
    """

    question: str
    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None
    date: datetime | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def read(self, shape: type[_Shape]) -> _Shape:
        """The body of a success.

        :raises EnvironmentUnavailable: it is none, and says nothing of the request; or it has another form.
        :raises RequestRefused: it is a refusal.
        """
        if 200 <= self.status < 300:
            try:
                return msgspec.json.decode(self.body, type=shape)
            except (msgspec.DecodeError, RecursionError) as error:
                raise self._unavailable(f"unexpected response: {error}") from None
        if self.status in TRY_AGAIN or self.status >= 500 or self.status < 400:
            raise self._unavailable(self.text())
        raise RequestRefused(f"{self.question} answered {self.status}: {self.text()}", status=self.status)

    def text(self) -> str:
        """What it says, without our credentials. CDAP refuses in plain text."""
        said = without(self.secrets, self.body.decode(errors="replace").strip())
        return printable(said, limit=bounds.DETAIL)

    def is_about(self, app: str) -> bool:
        """Whether a refusal is CDAP's own, about an app: it names the app. A proxy's page is HTML, or names nothing."""
        said = self.body.decode(errors="replace").lstrip()
        return app in said and not said.startswith("<")

    def _unavailable(self, why: str) -> EnvironmentUnavailable:
        error = ServerFailed if self.status >= 500 else EnvironmentUnavailable
        reason = printable(without(self.secrets, why), limit=bounds.DETAIL)
        return error(f"{self.question} answered {self.status}: {reason}", retry_after=self.retry_after)


def without(secrets: Iterable[str], text: str) -> str:
    """A text without our credentials, which somebody else may have put there."""
    for secret in secrets:
        text = text.replace(secret, "***").replace(json.dumps(secret)[1:-1], "***")
    return text


class Login:
    """The Authorization header, shared by all threads. :param name: the environment, for messages."""

    def __init__(self, name: str, settings: DataFusionSettings) -> None:
        self._google = GoogleTokens(name) if settings.login == "google" else None
        self._lock = threading.Lock()
        self._header: str | None = None
        self._good_until = 0.0

    def header(self, deadline: Deadline, *, rejected: str | None = None) -> str | None:
        """The header to send; ``None``: none is needed. :param rejected: one that was answered with 401.

        Raises as :meth:`GoogleTokens.token`.
        """
        if self._google is None:
            return None
        if not self._lock.acquire(timeout=max(0.0, deadline.remaining())):
            raise EnvironmentUnavailable(f"another thread's login took longer than {deadline.seconds:g} s")
        try:
            if self._header is None or self._header == rejected or time.monotonic() >= self._good_until:
                asked_at = time.monotonic()
                token, lifetime = self._google.token(deadline)
                self._header = f"Bearer {token}"
                self._good_until = asked_at + lifetime * (1 - _RENEW_EARLY)
            return self._header
        finally:
            self._lock.release()


class CdapClient:
    """A client of one namespace. Used from several threads at once. :param name: the environment, for messages.

    Every method raises :class:`EnvironmentUnavailable` where there is no answer, and :class:`RequestRefused` where the
    credentials are missing, or it is refused.
    """

    def __init__(self, name: str, settings: DataFusionSettings) -> None:
        self._base = settings.url
        self._namespace = f"/v3/namespaces/{settings.namespace}"
        self._login = Login(name, settings)
        usual = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self._verify: bool | str = str(settings.ca_cert) if settings.ca_cert else usual
        self._proxies = dict(get_environ_proxies(settings.url))
        self._local = threading.local()
        self._routes: weakref.WeakSet[Route] = weakref.WeakSet()
        self._lock = threading.Lock()

    def version(self, deadline: Deadline) -> str:
        """CDAP's version."""
        return self._send("GET", "/v3/version", deadline=deadline).read(_Version).version

    def start(
        self, pipeline: Pipeline, arguments: Mapping[str, str], *, deadline: Deadline, permit: Permit | None
    ) -> Started:
        """Start a run.

        :raises NotSent: it was not sent.
        :raises EnvironmentUnavailable: it may have been started.
        """
        program = {
            "appId": pipeline.app,
            "programType": "Workflow",
            "programId": pipeline.program,
            "runtimeargs": dict(arguments),
        }
        answer = self._send("POST", f"{self._namespace}/start", deadline=deadline, body=[program], permit=permit)
        started = answer.read(list[Started])
        if len(started) != 1:
            raise EnvironmentUnavailable(f"{answer.question} answered about {len(started)} programs; expected one")
        (one,) = started
        return msgspec.structs.replace(one, error=without(answer.secrets, one.error) if one.error else one.error)

    def runs(
        self, pipeline: Pipeline, *, since: float, deadline: Deadline
    ) -> tuple[dict[str, Record], datetime | None]:
        """All runs of a program that were started since then, by CDAP's id, and when CDAP answered, by its clock.

        The order of the list is not relied on: where a part of the time has more than :data:`PAGE` runs, or too large
        ones, it is halved.

        :param since: seconds since 1970.
        :raises RequestRefused: with status 404: there is no such program; CDAP itself says so.
        """
        found: dict[str, Record] = {}
        date: datetime | None = None
        # A day ahead, for the two clocks: a run that is left out would be taken for one that does not exist.
        parts = [(int(since), int(time.time()) + _AHEAD, PAGE)]
        while parts:
            start, end, limit = parts.pop()
            query = {"start": start, "end": end, "limit": limit}
            try:
                answer = self._send("GET", f"{self._program(pipeline)}/runs", deadline=deadline, query=query)
                records = _read_of(answer, pipeline, list[Record])
                date = answer.date or date
                if len(records) < limit:
                    found |= {one.runid: one for one in records if _is_plain(one)}
                    continue
                if end - start <= _SMALLEST and limit < _MOST_IN_A_SECOND:
                    parts.append((start, end, 2 * limit))
                    continue
                raise AnswerTooLarge(f"{answer.question} answered with {limit} runs, and has more")
            except AnswerTooLarge:
                if end - start <= _SMALLEST:
                    raise
            middle = (start + end) // 2
            parts += [(start, middle, PAGE), (middle, end, PAGE)]
        return found, date

    def exists(self, pipeline: Pipeline, deadline: Deadline) -> bool:
        """Whether there is such a program."""
        try:
            query = {"limit": 1}
            answer = self._send("GET", f"{self._program(pipeline)}/runs", deadline=deadline, query=query)
            _read_of(answer, pipeline, list[Record])
        except RequestRefused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    def stop(self, pipeline: Pipeline, runid: str, deadline: Deadline, permit: Permit | None = None) -> None:
        """Stop this run, and no other one. It has ended if that is refused with 400."""
        path = f"{self._program(pipeline)}/runs/{quote(runid, safe='')}/stop"
        answer = self._send("POST", path, deadline=deadline, permit=permit)
        if not 200 <= answer.status < 300:
            answer.read(list[Any])

    def close(self) -> None:
        with self._lock:
            routes = list(self._routes)
        for route in routes:
            route.close()

    def _program(self, pipeline: Pipeline) -> str:
        return f"{self._namespace}/apps/{pipeline.app}/workflows/{pipeline.program}"

    def _send(
        self,
        method: str,
        path: str,
        *,
        deadline: Deadline,
        query: Mapping[str, int] | None = None,
        body: Any = None,
        permit: Permit | None = None,
    ) -> CdapAnswer:
        """One request; a question again with a new token, if CDAP answers 401. A start is preceded by a question."""
        target = f"{path}?{urlencode(query)}" if query else path
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        header = self._let_in(method, deadline, None)
        answer = self._exchange(method, target, header, content, deadline, permit)
        if answer.status == 401 and header is not None and method == "GET":
            renewed = self._let_in(method, deadline, header)
            if renewed != header:
                answer = self._exchange(method, target, renewed, content, deadline, permit)
        return answer

    def _let_in(self, method: str, deadline: Deadline, rejected: str | None) -> str | None:
        try:
            return self._login.header(deadline, rejected=rejected)
        except EnvironmentUnavailable as error:
            if method == "GET":
                raise
            raise NotSent(str(error), retry_after=error.retry_after) from error

    def _exchange(
        self,
        method: str,
        target: str,
        authorization: str | None,
        content: bytes | None,
        deadline: Deadline,
        permit: Permit | None,
    ) -> CdapAnswer:
        question = f"{method} {self._base}{target}"
        headers = dict(_HEADERS)
        secrets = () if authorization is None else (authorization, authorization.removeprefix("Bearer "))
        if authorization is not None:
            headers["Authorization"] = authorization
        if content is not None:
            headers["Content-Type"] = "application/json"
        try:
            with self._route().asking(method, target, headers, content, deadline=deadline, permit=permit) as response:
                return CdapAnswer(
                    question,
                    response.status,
                    _body(response, question),
                    read_retry_after(response.headers.get("Retry-After")),
                    read_date(response.headers.get("Date")),
                    secrets,
                )
        except (requests.RequestException, HTTPError, OSError) as error:
            reason = without(secrets, reason_of(error, deadline))
            raise EnvironmentUnavailable(f"{question}: no answer: {reason}") from None

    def _route(self) -> Route:
        route: Route | None = getattr(self._local, "route", None)
        if route is None:
            route = self._local.route = Route(self._base, verify=self._verify, proxies=self._proxies)
            with self._lock:
                self._routes.add(route)
        return route


def _read_of(answer: CdapAnswer, pipeline: Pipeline, shape: type[_Shape]) -> _Shape:
    """What CDAP says of a program.

    :raises EnvironmentUnavailable: also for a 404 that is not CDAP's own: a load balancer's, while CDAP is down, would
        make all runs look deleted.
    """
    if answer.status == 404 and not answer.is_about(pipeline.app):
        raise EnvironmentUnavailable(f"{answer.question} answered 404, and not as CDAP does: {answer.text()}")
    return answer.read(shape)


def _is_plain(record: Record) -> bool:
    """Whether it is a run that can be named in an address, in a state that can be shown."""
    return bool(_RUN_ID.fullmatch(record.runid) and _STATUS.fullmatch(record.status))


def _body(response: BaseHTTPResponse, question: str) -> bytes:
    """The body. :raises AnswerTooLarge: it is too long."""
    body = bytearray()
    while piece := response.read(_PIECE):
        body += piece
        if len(body) > bounds.ANSWER:
            raise AnswerTooLarge(f"{question} answered with more than {bounds.ANSWER} bytes")
    return bytes(body)
