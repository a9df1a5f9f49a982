"""``PipelineSensor``: waits inside a DAG for a pipeline or a task of any environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from coordinator.airflow_provider.airflow_names import AirflowFailException, BaseSensorOperator, PokeReturnValue
from coordinator.airflow_provider.hook import EtcdHook

if TYPE_CHECKING:
    from coordinator.model.waits import Wait

_ENDS = ("success", "failure", "done", "skipped")
_RERUNS = ("ignore", "clear")


def _expected(task_id: str, name: str, given: object, allowed: Sequence[str]) -> str:
    from difflib import get_close_matches  # only where there is a mistake: DAG files are read again and again

    near = get_close_matches(str(given), allowed, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    return f"sensor {task_id}: {name}={given!r}: expected {', '.join(allowed[:-1])} or {allowed[-1]}{meant}"


class PipelineSensor(BaseSensorOperator):  # type: ignore[misc]  # Airflow is an optional dependency
    """Wait until a pipeline, or a task of it, has ended in a partition, in whichever Airflow it runs.

    The watcher that leads answers, by the same rule by which it starts pipelines: it does not let the sensor pass while
    the pipeline is to run again because of something above it. While it waits it is deferred: it holds no slot.

    :param pipeline: ``environment/dag_id``, or ``dag_id`` in the environment ``default``. May be a template.
    :param task: a task of it, by its id; ``None``: the whole run. May be a template.
    :param partition: by default that of this run. May be a template. A date-time with a time zone is read in any
        spelling, as ``{{ ts }}``; anything else names the partition of that name: a key, a date-time without a zone, as
        keys have it, a date alone.
    :param on: ``success``, ``failure``, ``done``, or, for a task, ``skipped``.
    :param rerun: what happens when the pipeline or task completes again after this sensor has passed. ``ignore``:
        nothing. ``clear``: once this run is at rest, the sensor is cleared with everything below it, together with
        other sensors of the run that are to be cleared.
    :param deferrable: false: it asks every ``poke_interval``, and holds a slot, unless ``mode`` is ``reschedule``.
    :param etcd_conn_id: an Airflow connection of the type ``etcd``; ``None``: the configuration of the coordinator on
        the worker and the triggerer.
    :raises ValueError: ``on`` or ``rerun`` is none of these, or ``on`` is ``skipped`` without a task.
    """

    template_fields: Sequence[str] = ("pipeline", "upstream_task", "partition")

    def __init__(
        self,
        *,
        pipeline: str,
        task: str | None = None,
        partition: str | None = None,
        on: str = "success",
        rerun: str = "ignore",
        deferrable: bool = True,
        etcd_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if on not in _ENDS:
            raise ValueError(_expected(self.task_id, "on", on, _ENDS))
        if on == "skipped" and task is None:
            raise ValueError(f"sensor {self.task_id}: on='skipped': only a task can be skipped; expected task=...")
        if rerun not in _RERUNS:
            raise ValueError(_expected(self.task_id, "rerun", rerun, _RERUNS))
        self.pipeline = pipeline
        self.upstream_task = task
        self.partition = partition
        self.on = on
        self.rerun = rerun
        self.deferrable = deferrable
        self.etcd_conn_id = etcd_conn_id

    def execute(self, context: Mapping[str, Any]) -> Any:
        if not self.deferrable:
            return super().execute(context)
        from coordinator.airflow_provider.trigger import WaitTrigger

        key, wait, environment = self._ask(context)
        if (answer := _answer(wait)) is not None:
            return answer
        from coordinator.model.waits import dump_wait

        trigger = WaitTrigger(
            key=key, wait=dump_wait(wait).decode(), environment=environment, etcd_conn_id=self.etcd_conn_id
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timedelta(seconds=self.timeout))
        return None

    def execute_complete(self, context: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
        """Airflow calls this with the answer. :raises ConfigurationError: the triggerer knows of no etcd."""
        del context
        from coordinator.errors import ConfigurationError
        from coordinator.model.stored import Unreadable
        from coordinator.model.waits import read_wait

        if "problem" in event:
            raise ConfigurationError(f"on the triggerer: {event['problem']}")
        wait = read_wait(str(event["wait"]).encode())
        if isinstance(wait, Unreadable):
            raise AirflowFailException(f"the answer cannot be read: {wait.reason}")
        answer = _answer(wait)
        assert answer is not None
        return answer

    def poke(self, context: Mapping[str, Any]) -> PokeReturnValue:
        answer = _answer(self._ask(context)[1])
        return PokeReturnValue(is_done=answer is not None, xcom_value=answer)

    def _ask(self, context: Mapping[str, Any]) -> tuple[str, Wait, str]:
        """Write the wait, unless it is there. Returns its key, what stands there, and the name of this Airflow.

        :raises CoordinatorError: etcd could not be reached, or the configuration is wrong.
        """
        from datetime import UTC, datetime

        from coordinator.airflow_provider.runs import tasks_below, wait_of
        from coordinator.commands.write_wait import write_wait
        from coordinator.model.conditions import On
        from coordinator.model.named_partitions import canonical
        from coordinator.model.references import PipelineRef, Target
        from coordinator.model.waits import SensorRerun, Wait, WaitStatus
        from coordinator.store.keys import Keys

        hook = EtcdHook(self.etcd_conn_id)
        config = hook.config()
        ref, task_instance = wait_of(context, config.environment)
        pipeline = PipelineRef.parse(self.pipeline)._replace(task=self.upstream_task or "")
        wait = Wait(
            WaitStatus.WAITING,
            Target(pipeline, canonical(self.partition) if self.partition else ref.run.partition),
            On(self.on),
            task_instance,
            int(getattr(context["ti"], "try_number", 0) or 0),
            since=datetime.now(UTC),
            rerun=SensorRerun(self.rerun),
            below=tasks_below(context),
        )
        key = Keys(config.etcd.prefix).wait(ref)
        stands = write_wait(hook.get_conn(), key, wait, begins=True)
        if stands is wait:
            self.log.info("waiting for %s on %s (%s)", wait.upstream, self.on, key)
        return key, stands, config.environment


def _answer(wait: Wait) -> dict[str, Any] | None:
    """The completion that let the sensor pass; ``None``: there is no answer yet.

    :raises AirflowFailException: the coordinator refused the wait. Another try would be refused, too.
    """
    from coordinator.model.waits import WaitStatus

    if wait.status is WaitStatus.REFUSED:
        raise AirflowFailException(f"wait refused by the coordinator: {wait.upstream}: {wait.reason}")
    if wait.status is not WaitStatus.PASSED:
        return None
    found = {"pipeline": str(wait.upstream.pipeline.whole), "partition": wait.upstream.partition}
    if wait.upstream.pipeline.task:
        found["task"] = wait.upstream.pipeline.task
    if wait.completion is None:
        return found
    return {**found, "run_id": wait.completion.run_id, "state": str(wait.completion.state)}
