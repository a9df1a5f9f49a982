"""Links from Airflow to the page of ``coordinator ui``, where ``ui.url`` says at which address people reach it.

Airflow asks for them in its API server (Airflow 2: its web server), not in tasks. In Airflow 3 they are tabs of a DAG
and of a run, which show the page in a frame: Airflow shows an external view of a DAG or a run only if it has a
``url_route``, and puts names in place of ``{DAG_ID}`` and ``{RUN_ID}``, percent-encoded whole. Besides, a sensor has a
link. In Airflow 2, which has no external views, each task has a link, in its dialog.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote

log = logging.getLogger(__name__)

NAME = "Explanation"

_PIPELINE_SENSOR = type("PipelineSensor", (), {"__module__": "coordinator.airflow_provider.sensor"})
"""Airflow compares operators by their names and modules. The class itself would bring its imports with it."""


@dataclass(frozen=True, slots=True)
class PageOf:
    """The page, as seen from one Airflow.

    :ivar url: where people reach it.
    :ivar environment: the name of this Airflow.
    """

    url: str
    environment: str

    @property
    def external_views(self) -> list[dict[str, str]]:
        """The external views of Airflow 3."""
        environment = quote(self.environment, safe="")
        return [
            {
                "name": NAME,
                "destination": "dag_run",
                "url_route": "coordinator-run",
                "href": f"{self.url}/runs/{environment}/{{DAG_ID}}/{{RUN_ID}}",
            },
            {
                "name": NAME,
                "destination": "dag",
                "url_route": "coordinator-dag",
                "href": f"{self.url}/explain/{environment}/{{DAG_ID}}",
            },
        ]

    def of_run(self, dag_id: str, run_id: str) -> str:
        """The address that leads to the explanation of a run."""
        names = (quote(name, safe="") for name in (self.environment, dag_id, run_id))
        return "/".join((self.url, "runs", *names))


def external_views() -> list[dict[str, str]]:
    """The external views; none where no page is configured."""
    page = _page()
    return page.external_views if page is not None else []


def links_of_sensors() -> list[Any]:
    """The link of each ``PipelineSensor``."""
    return _guarded(lambda page: [_link(page, [_PIPELINE_SENSOR])])


def links_of_all_tasks() -> list[Any]:
    """The link of each task of any DAG."""
    return _guarded(lambda page: [_link(page, [])])


def _guarded(make: Callable[[PageOf], list[Any]]) -> list[Any]:
    """Make links if a page is configured. A defect of ours must not take the other plugins' links from Airflow."""
    page = _page()
    if page is None:
        return []
    try:
        return make(page)
    except Exception:  # whatever an Airflow of another version lacks
        log.exception("coordinator.no_links")
        return []


def _link(page: PageOf, operators: list[type]) -> Any:
    """An operator extra link. :param operators: whose link it is; Airflow's own word, as are the names below."""
    try:
        from airflow.sdk import BaseOperatorLink
    except ImportError:  # Airflow 2
        from airflow.models.baseoperatorlink import BaseOperatorLink

    its_operators = operators

    class ExplanationLink(BaseOperatorLink):  # type: ignore[misc]  # Airflow is an optional dependency
        name = NAME
        operators = its_operators

        def get_link(self, operator: object, *, ti_key: Any) -> str:
            del operator
            return page.of_run(ti_key.dag_id, ti_key.run_id)

    return ExplanationLink()


@cache
def _page() -> PageOf | None:
    """The page that is configured; ``None``: none is, or the configuration cannot be used."""
    try:
        from coordinator.config.loading import load_settings

        settings = load_settings()
    except Exception as error:  # noqa: BLE001 - a mistake in our configuration must not take Airflow's pages away
        log.warning("coordinator.no_links: %s", error)
        return None
    if settings.ui.url is None:
        return None
    return PageOf(settings.ui.url, settings.reporter.environment)
