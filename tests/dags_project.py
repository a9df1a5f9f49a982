"""A directory with a dags.yaml and templates, as a team has it."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = """\
from airflow.sdk import DAG

with DAG(dag_id={{ dag_id | literal }}, schedule={{ schedule | literal }}):
    pass
"""

CONFIGURATION = """\
name: sales
values: {schedule: "@daily"}
environments: {dev: , prod: }
dags:
  orders: {template: dag.py.j2}
  customers: {template: dag.py.j2, environments: [prod], values: {schedule: null}}
"""


def project(directory: Path, configuration: str = CONFIGURATION, **templates: str) -> Path:
    """Write it. :param templates: besides dag.py.j2, or instead of it, without their suffix."""
    (directory / "templates").mkdir(parents=True, exist_ok=True)
    for name, text in {"dag": TEMPLATE, **templates}.items():
        (directory / "templates" / f"{name}.py.j2").write_bytes(text.encode())
    file = directory / "dags.yaml"
    file.write_bytes(configuration.encode())
    return file


def one_dag(template: str = TEMPLATE, values: str = "{schedule: null}") -> dict[str, str]:
    """The arguments of :func:`project` for one DAG, ``orders``, in one environment."""
    configuration = (
        f"name: sales\nenvironments: {{prod: }}\ndags:\n  orders: {{template: dag.py.j2, values: {values}}}\n"
    )
    return {"configuration": configuration, "dag": template}


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
