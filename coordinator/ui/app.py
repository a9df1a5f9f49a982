"""The application: what all addresses have in common."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from coordinator.config.settings import Settings
from coordinator.controller.dispatch.dispatcher import limits_by_environment
from coordinator.errors import CoordinatorError
from coordinator.store.etcd_requests import EtcdRequests
from coordinator.store.keys import Keys
from coordinator.store.port import Store
from coordinator.store.timings import Timings
from coordinator.ui.airflow_pages import airflow_pages
from coordinator.ui.answers import answer_for, error_answer, json_answer
from coordinator.ui.headers import SecurityHeaders, policy
from coordinator.ui.hosts import KnownHosts
from coordinator.ui.live import Live
from coordinator.ui.metrics import Timed, UiMetrics
from coordinator.ui.paths import EncodedPaths
from coordinator.ui.questions import Questions
from coordinator.ui.views import changes, explain, graph, history, now, runs
from coordinator.ui.views.view import Api, Page

_log = structlog.get_logger(__name__)

STATIC = Path(__file__).with_name("static")

_NO_STORE = {"Cache-Control": "no-store"}


def application(settings: Settings, store: Store, live: Live, etcd: EtcdRequests | None = None) -> ASGIApp:
    """The application of ``coordinator ui``.

    :param live: what follows the same etcd. :param etcd: what the store has asked, for ``/metrics``.
    """
    ui = settings.ui
    questions = Questions(store, Keys(settings.etcd.prefix))
    api = Api(questions, live, limits_by_environment(settings))
    shell = _shell(ui.path)
    timings = Timings()

    def page(status: HTTPStatus = HTTPStatus.OK) -> Response:
        return HTMLResponse(shell, status, _NO_STORE)

    async def show(request: Request) -> Response:
        del request
        return page()

    async def environments(request: Request) -> Response:
        del request
        return json_answer({"environments": airflow_pages(settings.airflows)})

    async def healthz(request: Request) -> Response:
        del request
        return PlainTextResponse("alive\n", headers=_NO_STORE)

    routes: Sequence[BaseRoute] = [
        Route("/healthz", healthz),
        Route("/metrics", UiMetrics(questions, timings, etcd).show),
        Route("/api/v1/environments", environments),
        *now.routes(api, settings, show),
        *changes.routes(api),
        *graph.routes(api, show),
        *history.routes(api, show),
        *explain.routes(api, show),
        *runs.routes(api, Page(page, ui.path)),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    pages = [one.pages for one in settings.environments.values() if one.pages is not None]
    listens_as = {ui.host.lower()} if ui.host else set()
    routed = Starlette(
        routes=routes,
        exception_handlers={
            CoordinatorError: _raised(questions),
            HTTPException: _refused(page),
            Exception: _mistake,
        },
    )
    routed.router.redirect_slashes = False  # it would send people to whatever host they have named
    names = frozenset(listens_as | ({ui.name} if ui.name else set()))
    guarded = SecurityHeaders(KnownHosts(EncodedPaths(routed, ui.path), names), policy(pages))
    return Timed(guarded, timings, ui.path)


Handler = Callable[[Request, Exception], Awaitable[Response]]


def _raised(questions: Questions) -> Handler:
    async def handle(request: Request, error: Exception) -> Response:
        del request
        assert isinstance(error, CoordinatorError)
        return answer_for(error, questions.away_since)

    return handle


def _refused(page: Callable[[HTTPStatus], Response]) -> Handler:
    """No such address, or another method: as JSON for programs, with the page for people."""

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        if status is HTTPStatus.NOT_FOUND and not request.scope["path"].startswith(("/api/", "/static/")):
            return page(status)
        return error_answer(status, status.phrase.lower().replace(" ", "_"), status.description or status.phrase)

    return handle


async def _mistake(request: Request, error: Exception) -> Response:
    """The answer discloses nothing; the log has the error."""
    _log.error("ui.defect", path=request.scope["path"], exc_info=error)
    says = "a mistake in the coordinator; see its log"
    return error_answer(HTTPStatus.INTERNAL_SERVER_ERROR, "defect", says)


def _shell(path: str) -> str:
    """The one HTML page. Nothing but the configured path is put into it: names come as JSON, and become text."""
    return (STATIC / "index.html").read_text(encoding="utf-8").replace("{path}", html.escape(path))
