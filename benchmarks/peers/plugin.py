"""An Airflow plugin, copied into the plugins folder: sends one datagram for each run of the floor that has succeeded.

It is loaded in every task too, so it imports next to nothing.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from pluggy import HookimplMarker

hookimpl = HookimplMarker("airflow")


class Listener:
    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    @hookimpl
    def on_dag_run_success(self, dag_run: Any) -> None:
        if dag_run.dag_id.startswith("direct_"):
            ended = [dag_run.dag_id, dag_run.logical_date.isoformat()]
            self._socket.sendto(json.dumps(ended).encode(), os.environ["PEERS_DIRECT"])


class DirectPlugin(AirflowPlugin):  # type: ignore[misc]  # Airflow is an optional dependency
    name = "peers_direct"
    listeners = [Listener()]  # noqa: RUF012 - the attribute's shape is Airflow's
