"""The means by which a DAG waits for others: what each of them writes into a DAG, or into dependencies.json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.peers.graph import Graph

TASK = "work"
"""The one task of a pipeline; sensors and triggers stand beside it."""

_SENSOR = "from airflow.providers.standard.sensors.external_task import ExternalTaskSensor"
_TRIGGER = "from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator"


@dataclass(frozen=True)
class Means:
    """One way to say that a pipeline waits for others.

    What stands in a DAG is Python, in which ``name``, ``upstreams``, ``downstreams`` and ``done`` (the task) are known.

    :ivar name: the beginning of its DAGs' ids.
    :ivar title: what tables call it.
    :ivar imports: what a DAG imports for it.
    :ivar schedule: of a DAG.
    :ivar outlets: of its task.
    :ivar wiring: the tasks beside it.
    :ivar starts_all: every pipeline has runs of its own that wait, as if by a schedule; else the root alone is started.
    :ivar entry: for the coordinator, what a pipeline waits for: of an upstream's DAG id.
    """

    name: str
    title: str
    imports: str = ""
    schedule: str = "None"
    outlets: str = "[]"
    wiring: str = "pass"
    starts_all: bool = False
    entry: Callable[[str], object] | None = field(default=None, compare=False)

    def dag_id(self, pipeline: str) -> str:
        return f"{self.name}_{pipeline}"

    def dag_ids(self, graph: Graph) -> dict[str, str]:
        """By pipeline."""
        return {pipeline: self.dag_id(pipeline) for pipeline in graph.upstreams}

    def upstreams(self, graph: Graph) -> dict[str, list[str]]:
        """The graph in DAG ids."""
        return {self.dag_id(one): [self.dag_id(above) for above in graph.upstreams[one]] for one in graph.upstreams}

    def entries(self, graph: Graph) -> dict[str, object]:
        """Its part of dependencies.json."""
        if self.entry is None:
            return {}
        upstreams = self.upstreams(graph).items()
        return {one: {"upstream": [self.entry(above) for above in its]} for one, its in upstreams if its}


def _sensor(name: str, seconds: float) -> Means:
    sensor = (
        'ExternalTaskSensor(task_id=f"wait_for_{one}", external_dag_id=one, deferrable=True, '
        f"poke_interval={seconds:g})"
    )
    return Means(
        name,
        f"ExternalTaskSensor, {seconds:g} s",
        imports=_SENSOR,
        wiring=f"[{sensor} for one in upstreams] >> done",
        starts_all=True,
    )


DIRECT = Means("direct", "direct listener loop (floor)")
MEANS = (
    DIRECT,
    Means("runs", "coordinator, on runs", entry=lambda upstream: upstream),
    Means("tasks", "coordinator, on tasks", entry=lambda upstream: {"pipeline": upstream, "task": TASK}),
    Means("assets", "assets", schedule="[Asset(one) for one in upstreams] or None", outlets="[Asset(name)]"),
    _sensor("sensor_1s", 1),
    _sensor("sensor_5s", 5),
    Means(
        "trigger",
        "TriggerDagRunOperator",
        imports=_TRIGGER,
        wiring='done >> [TriggerDagRunOperator(task_id=f"start_{one}", trigger_dag_id=one) for one in downstreams]',
    ),
)
