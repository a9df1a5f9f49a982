"""Runs: from a run in Airflow to the explanation of its partition."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from coordinator.errors import CoordinatorError
from coordinator.model.references import PipelineRef
from coordinator.reading.run_partition import RunNotFound, RunPartition, partition_of_run_id
from coordinator.store.keys import Keys
from coordinator.store.port import Store
from coordinator.ui.answers import NotFound, answer_for, json_answer
from coordinator.ui.paths import name_in, path_of, pipeline_in
from coordinator.ui.views.view import Api, Page

_RUN = "/runs/{environment}/{dag_id}/{run_id}"


def routes(api: Api, page: Page) -> list[Route]:
    """The addresses that lead to the explanation of a run."""

    async def partition_of(pipeline: PipelineRef, run_id: str) -> RunPartition:
        def question(store: Store, keys: Keys) -> Any:
            try:
                return partition_of_run_id(store, keys, pipeline, run_id)
            except RunNotFound as error:
                raise NotFound("unknown_run", str(error), looked_for=error.looked_for, newest=error.newest) from None

        found = await api.questions.ask(("run", pipeline, run_id), question)
        assert isinstance(found, RunPartition)
        return found

    def address(pipeline: PipelineRef, run_id: str, found: RunPartition) -> str:
        """Of the explanation. If the partition is only likely, the page says so of this run."""
        about = pipeline.with_item(found.item) if found.item else pipeline
        path = page.path + path_of("explain", about.environment, about.dag_id, found.partition)
        return path if found.is_certain else f"{path}?{urlencode({'run': run_id})}"

    async def look_up(request: Request) -> Response:
        pipeline, run_id = pipeline_in(request), name_in(request, "run_id")
        found = await partition_of(pipeline, run_id)
        explain = address(pipeline, run_id, found)
        return json_answer({"pipeline": str(pipeline), **_told(found), "explain": explain})

    async def lead(request: Request) -> Response:
        """To the explanation; or the page, which says what was looked for, and asks again if etcd is away."""
        try:
            pipeline, run_id = pipeline_in(request), name_in(request, "run_id")
            found = await partition_of(pipeline, run_id)
        except CoordinatorError as error:
            return page.show(HTTPStatus(answer_for(error, None).status_code))
        return RedirectResponse(address(pipeline, run_id, found), HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})

    return [Route("/api/v1" + _RUN, look_up), Route(_RUN, lead)]


def _told(found: RunPartition) -> dict[str, Any]:
    """For programs; the item only where there is one."""
    return {name: value for name, value in asdict(found).items() if name != "item" or value}
