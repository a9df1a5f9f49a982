"""``ReportOperator``: reports a run state from inside a DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coordinator.airflow_provider.airflow_names import BaseOperator
from coordinator.airflow_provider.hook import EtcdHook


class ReportOperator(BaseOperator):  # type: ignore[misc]  # Airflow is an optional dependency
    """Say what became of a pipeline that does not report by itself: something outside Airflow that this DAG has seen.

    Runs of Airflow's own DAGs are reported by the plugin, with no operator. A retry repeats the report: the attempt is
    that of the run of this task, which changes with a clear, and when the run is deleted and made again.

    :param pipeline: ``environment/dag_id``, or ``dag_id`` in the environment ``default``. May be a template.
    :param state: ``queued``, ``running``, ``success`` or ``failed``. May be a template.
    :param partition: by default that of this run. May be a template.
    :param external_run_id: the name of the run outside Airflow; ``None``: that of the run of this task. May be a
        template.
    :param etcd_conn_id: an Airflow connection of the type ``etcd``; ``None``: the configuration of the coordinator on
        the worker.
    """

    template_fields: Sequence[str] = ("pipeline", "state", "partition", "external_run_id")

    def __init__(
        self,
        *,
        pipeline: str,
        state: str = "success",
        partition: str | None = None,
        external_run_id: str | None = None,
        etcd_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.state = state
        self.partition = partition
        self.external_run_id = external_run_id
        self.etcd_conn_id = etcd_conn_id

    def execute(self, context: Mapping[str, Any]) -> str:
        """:returns: what came of the report: ``new``, ``repeat`` or ``outdated``."""
        from coordinator.airflow_provider.runs import attempt_of, run_of
        from coordinator.commands.report import write_report
        from coordinator.model.references import PipelineRef, Target
        from coordinator.model.runstate import RunStateDocument, State
        from coordinator.store.keys import Keys

        hook = EtcdHook(self.etcd_conn_id)
        config = hook.config()
        own, run_id = run_of(context, config.environment)
        target = Target(PipelineRef.parse(self.pipeline), self.partition or own.partition)
        instance = context["ti"]
        document = RunStateDocument(
            state=State(self.state),
            run_id=self.external_run_id or run_id,
            attempt=attempt_of(context),
            reported_by=f"airflow/{config.environment}/{instance.dag_id}/{instance.task_id}",
        )
        verdict = write_report(hook.get_conn(), Keys(config.etcd.prefix), target, document).name.lower()
        self.log.info("reported: %s is %s (%s)", target, self.state, verdict)
        return verdict
