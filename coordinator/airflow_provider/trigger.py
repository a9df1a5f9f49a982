"""The trigger of ``PipelineSensor``: waits for the answer, on one watch for all sensors of a triggerer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from coordinator.airflow_provider.airflow_names import BaseTrigger, TriggerEvent
from coordinator.airflow_provider.hook import EtcdHook


class WaitTrigger(BaseTrigger):  # type: ignore[misc]  # Airflow is an optional dependency
    """Fires once the wait under a key has an answer.

    :param key: of the wait.
    :param wait: its JSON, to be written again if it is removed while the sensor still waits.
    :param environment: the name of this Airflow.
    :param etcd_conn_id: as for the sensor.
    """

    def __init__(self, key: str, wait: str, environment: str, etcd_conn_id: str | None = None) -> None:
        super().__init__()
        self.key = key
        self.wait = wait
        self.environment = environment
        self.etcd_conn_id = etcd_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{WaitTrigger.__module__}.{WaitTrigger.__qualname__}",
            {
                "key": self.key,
                "wait": self.wait,
                "environment": self.environment,
                "etcd_conn_id": self.etcd_conn_id,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from coordinator.airflow_provider.wait_watch import answer_to

        config = await EtcdHook(self.etcd_conn_id).aconfig()
        answer = await answer_to(config.etcd, self.environment, self.key, self.wait.encode())
        yield TriggerEvent({"wait": answer.decode()})
