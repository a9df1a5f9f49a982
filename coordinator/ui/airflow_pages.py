"""The addresses of Airflow's own pages, with places for names as Airflow's external views have them."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.config.airflow import AirflowSettings

Templates = dict[str, str]


def airflow_pages(environments: Mapping[str, AirflowSettings]) -> dict[str, Templates]:
    """For each environment whose pages are known: ``dag`` and ``run``, with ``{DAG_ID}`` and ``{RUN_ID}``."""
    return {name: _pages_of(one) for name, one in environments.items() if one.pages is not None}


def _pages_of(environment: AirflowSettings) -> Templates:
    dag = f"{environment.pages}/dags/{{DAG_ID}}"
    if environment.api_version == 2:
        return {"dag": f"{dag}/grid", "run": f"{dag}/grid?dag_run_id={{RUN_ID}}"}
    return {"dag": dag, "run": f"{dag}/runs/{{RUN_ID}}"}
