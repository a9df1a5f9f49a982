"""The trigger of ``PipelineSensor``: waits for the answer, on one watch for all sensors of a triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from coordinator.airflow_provider.airflow_names import BaseTrigger, TriggerEvent
from coordinator.airflow_provider.hook import EtcdHook

TOLD_AFTER = 10.0
"""Seconds until the task's log says that etcd cannot be followed, and between two such looks."""


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
        from coordinator.errors import CoordinatorError

        try:
            event = {"wait": (await self._answer()).decode()}
        except CoordinatorError as error:  # no other triggerer is asked, and this one would fail for ever
            event = {"problem": str(error)}
        yield TriggerEvent(event)

    async def _answer(self) -> bytes:
        """The answered wait. Its task's log says where the answer is waited for, and why that fails.

        :raises CoordinatorError: no etcd is named here, or the settings are wrong.
        """
        from coordinator.airflow_provider.wait_watch import answer_to, trouble_with

        config = await EtcdHook(self.etcd_conn_id).aconfig()
        endpoints = ", ".join(config.etcd.endpoints)
        self.log.info("the triggerer waits for the answer in etcd %s, under %s", endpoints, self.key)
        answer = asyncio.ensure_future(answer_to(config.etcd, self.environment, self.key, self.wait.encode()))
        told = None
        try:
            while not (await asyncio.wait({answer}, timeout=TOLD_AFTER))[0]:
                trouble = trouble_with(config.etcd, self.environment)
                if trouble != told and trouble is not None:
                    self.log.warning("the triggerer cannot follow etcd %s, and tries again: %s", endpoints, trouble)
                told = trouble
            return await answer
        finally:
            answer.cancel()
