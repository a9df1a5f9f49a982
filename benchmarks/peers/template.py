"""The DAGs: one template for all means, so that nothing but the mechanism differs."""

from __future__ import annotations

from pathlib import Path
from string import Template

from benchmarks.peers.graph import Graph
from benchmarks.peers.means import Means

_TEMPLATE = Template(
    '''"""Made by benchmarks.peers, for: $title."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, get_parsing_context, task
$imports

UPSTREAMS: dict[str, list[str]] = $upstreams
DOWNSTREAMS = {name: [one for one, its in UPSTREAMS.items() if name in its] for name in UPSTREAMS}
WANTED = get_parsing_context().dag_id  # a task that runs needs its own DAG alone


def define(name: str, upstreams: list[str], downstreams: list[str]) -> DAG:
    with DAG(name, schedule=$schedule, catchup=False) as dag:
        if upstreams and $leaves_do_nothing:
            done = EmptyOperator(task_id="work")
        else:

            @task(outlets=$outlets)
            def work() -> None:
                pass

            done = work()
        $wiring
    return dag


for dag_id in [WANTED] if WANTED in UPSTREAMS else UPSTREAMS:
    globals()[dag_id] = define(dag_id, UPSTREAMS[dag_id], DOWNSTREAMS[dag_id])
'''
)


def source(means: Means, graph: Graph) -> str:
    """The file with all DAGs of this graph by these means."""
    return _TEMPLATE.substitute(
        title=means.title,
        imports=means.imports,
        upstreams=repr(means.upstreams(graph)),
        schedule=means.schedule,
        outlets=means.outlets,
        wiring=means.wiring,
        leaves_do_nothing=graph.leaves_do_nothing,
    )


def write_dags(folder: Path, means: Means, graphs: dict[str, Graph]) -> None:
    """One file for each graph, named for it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, graph in graphs.items():
        (folder / f"{means.name}_{name}.py").write_text(source(means, graph), encoding="utf-8")
