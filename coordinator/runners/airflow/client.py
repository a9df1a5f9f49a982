"""One request to an Airflow, and its answer: addresses, connections, credentials and errors.

``requests`` determines the route (proxies, certificates) once for each thread; each request goes to urllib3's
connection pool below it. A ``Session`` would follow redirects, keep cookies without a bound, and read the environment
and ~/.netrc for every request, where it may find another Authorization header than ours; and it would take more time
than the rest of the request.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import requests
from requests.utils import get_environ_proxies
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from coordinator.config.airflow import AirflowSettings
from coordinator.model import bounds
from coordinator.model.printable import printable
from coordinator.runners.airflow.answers import Answer, read_date, read_retry_after
from coordinator.runners.airflow.authentication import Authentication
from coordinator.runners.airflow.deadline import Deadline
from coordinator.runners.airflow.dialect import DIALECTS
from coordinator.runners.airflow.mwaa import InvokeRestApi
from coordinator.runners.airflow.route import Route
from coordinator.runners.port import AnswerTooLarge, EnvironmentUnavailable, NotSent, Permit
from coordinator.version import __version__

_PIECE = 64 * 1024

_ENCODING = "gzip"
"""The encoding that Airflow's API server supports. Others may need much memory, or be nested."""

_HEADERS = {
    "User-Agent": f"coordinator/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": _ENCODING,
}

_Found = TypeVar("_Found")

_USERINFO = re.compile(r"//[^/@\s]*@")


def segment(name: str) -> str:
    """A DAG id or run id, quoted as one segment of a path, so that nothing in it can change the address."""
    return quote(name, safe="")


def addressable(name: str) -> bool:
    """Whether a name can be a segment of a path at all.

    Airflow's server decodes ``%2F`` before it matches the address, and clients drop ``.`` and ``..``. Half of a
    surrogate pair is not UTF-8.
    """
    return "/" not in name and name not in ("", ".", "..") and not any("\ud800" <= one <= "\udfff" for one in name)


def addressable_dag(dag_id: str) -> bool:
    """As :func:`addressable`, for a DAG: ``~`` means all of them."""
    return dag_id != "~" and addressable(dag_id)


class AirflowClient:
    """A client of one environment. Used from several threads at once, each with its own connection.

    :param name: the environment, for messages.
    :ivar dialect: of the version of Airflow that the settings name.
    """

    def __init__(self, name: str, settings: AirflowSettings) -> None:
        self.name = name
        self.dialect = DIALECTS[settings.api_version]
        self._base = settings.url
        self._verify: bool | str = str(settings.ca_cert) if settings.ca_cert else _usual_certificates()
        self._authentication = Authentication(name, settings, self._login if self.dialect.has_login else None)
        self._invoke_rest_api = InvokeRestApi(name, settings) if settings.kind == "mwaa" else None
        self._proxies = dict(get_environ_proxies(settings.url))
        self._local = threading.local()
        self._routes: weakref.WeakSet[Route] = weakref.WeakSet()
        self._routes_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<AirflowClient {self.name} at {self._base}>"

    def get(self, path: str, *, deadline: Deadline, query: Mapping[str, str | int] | None = None) -> Answer:
        """Send a GET request. ``path`` follows that of the API. Raises as :meth:`send` does."""
        return self.send("GET", path, deadline=deadline, query=query)

    def post(self, path: str, body: Mapping[str, Any], *, deadline: Deadline, permit: Permit | None = None) -> Answer:
        """Send a POST request. ``path`` follows that of the API. Raises as :meth:`send` does."""
        return self.send("POST", path, deadline=deadline, body=body, permit=permit)

    def patch(self, path: str, body: Mapping[str, Any], *, deadline: Deadline, permit: Permit | None = None) -> Answer:
        """Send a PATCH request. ``path`` follows that of the API. Raises as :meth:`send` does."""
        return self.send("PATCH", path, deadline=deadline, body=body, permit=permit)

    def send(
        self,
        method: str,
        path: str,
        *,
        deadline: Deadline,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        permit: Permit | None = None,
    ) -> Answer:
        """One request with credentials, repeated once with renewed ones if the first were not accepted.

        The repetition is safe for a POST too: Airflow checks the token before anything else.

        :param deadline: bounds everything: a login, connecting, sending, the whole answer.
        :param permit: called before any bytes of the request leave; if it raises, nothing was sent.
        :raises EnvironmentUnavailable: no answer.
        :raises NotSent: no answer to a login, before a POST left, or after one that was answered 401.
        :raises RequestRefused: the environment does not accept the credentials.
        """
        header = self._let_in(method, self._authentication.header, deadline)
        path = self.dialect.api + path
        answer = self._exchange(method, path, header, deadline=deadline, query=query, body=body, permit=permit)
        if _rejects_token(answer):
            renewed = self._let_in(method, self._authentication.renew, header, deadline)
            if renewed != header:
                answer = self._exchange(method, path, renewed, deadline=deadline, query=query, body=body, permit=permit)
        return answer

    @staticmethod
    def _let_in(method: str, obtain: Callable[..., _Found], *arguments: object) -> _Found:
        try:
            return obtain(*arguments)
        except EnvironmentUnavailable as error:
            if method == "GET":
                raise
            raise NotSent(str(error), retry_after=error.retry_after) from error

    def get_public(self, path: str, *, deadline: Deadline) -> Answer:
        """A GET request without credentials. ``path`` is whole. :raises EnvironmentUnavailable: no answer."""
        return self._exchange("GET", path, None, deadline=deadline)

    def close(self) -> None:
        """Close every thread's connection, as :meth:`Route.close` does."""
        with self._routes_lock:
            routes = list(self._routes)
        for route in routes:
            route.close()

    def _login(self, credentials: Mapping[str, str], deadline: Deadline) -> Answer:
        return self._exchange("POST", "/auth/token", None, deadline=deadline, body=credentials)

    def _exchange(
        self,
        method: str,
        path: str,
        authorization: str | None,
        *,
        deadline: Deadline,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        permit: Permit | None = None,
    ) -> Answer:
        question = f"{method} {self._base}{path}"
        headers, content = dict(_HEADERS), None
        secrets = self._authentication.secrets(authorization)
        if authorization is not None:
            headers["Authorization"] = authorization
        if self._invoke_rest_api is not None:
            called = path.removeprefix(self.dialect.api)
            content, signed, secrets = self._let_in(method, self._invoke_rest_api.wrap, method, called, query, body)
            method, path, headers = "POST", self._invoke_rest_api.path, headers | signed
        elif body is not None:
            content = json.dumps(body, separators=(",", ":")).encode()
            headers["Content-Type"] = "application/json"
        handled = sys.exc_info()[1]
        try:
            if query and self._invoke_rest_api is None:
                path = f"{path}?{urlencode(query)}"
            with self._route().asking(method, path, headers, content, deadline=deadline, permit=permit) as response:
                answer = Answer(
                    question=question,
                    status=response.status,
                    body=_body(response, question),
                    retry_after=read_retry_after(response.headers.get("Retry-After")),
                    date=read_date(response.headers.get("Date")),
                    secrets=secrets,
                )
            return answer if self._invoke_rest_api is None else self._invoke_rest_api.unwrap(answer)
        except (requests.RequestException, HTTPError, OSError, ValueError, OverflowError) as error:
            # The last two: an invalid host name ("a..b", a UnicodeError), a chunk of 2**63 bytes. They may also be a
            # defect, whose frames are needed.
            if isinstance(error, (requests.RequestException, HTTPError, OSError)):
                _forget_frames(error, handled)
            raise EnvironmentUnavailable(f"{question}: no answer: {reason_of(error, deadline)}") from error

    def _route(self) -> Route:
        """This thread's route. :raises requests.RequestException: the address, or that of a proxy, is invalid."""
        # No "except AttributeError": it would become the context of an error in making the route.
        route: Route | None = getattr(self._local, "route", None)
        if route is None:
            route = self._local.route = Route(self._base, verify=self._verify, proxies=self._proxies)
            with self._routes_lock:
                self._routes.add(route)
        return route


def _body(response: BaseHTTPResponse, question: str) -> bytes:
    """The body, up to a bound.

    :raises AnswerTooLarge: it is longer.
    :raises EnvironmentUnavailable: it has an encoding that was not requested.
    """
    encoding = response.headers.get("Content-Encoding", _ENCODING).strip().lower()
    if encoding not in (_ENCODING, "identity"):
        raise EnvironmentUnavailable(
            f"{question} answered with Content-Encoding {printable(encoding, limit=bounds.DETAIL)}; expected "
            f"{_ENCODING} or none"
        )
    body = bytearray()
    # In pieces: urllib3 2.6 and later decompresses no more than was asked for, whatever the size of the whole.
    while piece := response.read(_PIECE, decode_content=True):
        body += piece
        if len(body) > bounds.ANSWER:
            raise AnswerTooLarge(f"{question} answered with more than {bounds.ANSWER} bytes")
    return bytes(body)


def _usual_certificates() -> bool | str:
    """The certificates to trust if none are configured: the default of requests."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def _rejects_token(answer: Answer) -> bool:
    """Whether a newer token may help. Airflow answers 401 to an expired one, and 403 to one signed with another
    secret: its own, after a restart without a fixed ``[api_auth] jwt_secret``."""
    return answer.status == 401 or (answer.status == 403 and b"Invalid JWT token" in answer.body)


def _forget_frames(error: BaseException, handled: BaseException | None) -> None:
    """Remove the frames from an error and from its causes.

    urllib3 keeps an error in one of these frames, for a retry. Such a cycle, with the whole request and the callers'
    objects, stays until the garbage collector runs: megabytes in an hour of failures.

    :param handled: the exception that was being handled when the request was made, the end of the chain: its frames
        stay.
    """
    seen = {id(handled)}
    found: list[BaseException | None] = [error]
    while found:
        one = found.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            found += one.__cause__, one.__context__


def reason_of(error: BaseException, deadline: Deadline) -> str:
    """The innermost cause in a few words; the libraries' own texts are nested four levels deep."""
    if deadline.remaining() <= 0:
        return f"timed out after {deadline.seconds:g} s"
    innermost = error
    while (cause := innermost.__cause__ or innermost.__context__) is not None:
        innermost = cause
    # The address of a proxy from environment variables may contain a password.
    text = _USERINFO.sub("//***@", str(innermost))
    known = innermost.strerror if isinstance(innermost, OSError) and isinstance(innermost.strerror, str) else None
    reason = known or f"{type(innermost).__name__}: {text}"
    return printable(reason, limit=bounds.DETAIL)
