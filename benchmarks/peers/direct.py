"""The floor: for each run that has ended, one POST for each pipeline that now has all its upstreams.

It remembers in memory what has ended, writes nothing down, tries nothing again, and knows no clears.

    python -m benchmarks.peers.direct --socket PATH --airflow URL --graph FILE     (the password in PEERS_PASSWORD)
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests

WORKERS = 8


class FanIn:
    """Which upstreams have ended, by downstream and logical date."""

    def __init__(self, upstreams: Mapping[str, Sequence[str]]) -> None:
        self._upstreams = upstreams
        self._downstreams: dict[str, list[str]] = {}
        for below, its in upstreams.items():
            for above in its:
                self._downstreams.setdefault(above, []).append(below)
        self._ended: dict[tuple[str, str], set[str]] = {}

    def ended(self, pipeline: str, date: str) -> list[str]:
        """What is to be started now."""
        due = []
        for below in self._downstreams.get(pipeline, ()):
            so_far = self._ended.setdefault((below, date), set())
            so_far.add(pipeline)
            if so_far.issuperset(self._upstreams[below]):
                del self._ended[below, date]
                due.append(below)
        return due


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--airflow", required=True)
    parser.add_argument("--graph", type=Path, required=True)
    options = parser.parse_args()
    login = {"username": "admin", "password": os.environ["PEERS_PASSWORD"]}
    token = requests.post(f"{options.airflow}/auth/token", json=login, timeout=30).json()["access_token"]
    due: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()

    def worker() -> None:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {token}"
        while True:
            dag_id, date = due.get()
            body = {"dag_run_id": f"direct__{date}", "logical_date": date, "conf": {}}
            answer = session.post(f"{options.airflow}/api/v2/dags/{dag_id}/dagRuns", json=body, timeout=30)
            if not answer.ok:
                print(f"{dag_id} in {date}: {answer.status_code}", flush=True)

    for _ in range(WORKERS):
        threading.Thread(target=worker, daemon=True).start()
    fan_in = FanIn(json.loads(options.graph.read_text(encoding="utf-8")))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(options.socket)
        while True:
            pipeline, date = json.loads(receiver.recv(65536))
            for below in fan_in.ended(pipeline, date):
                due.put((below, date))


if __name__ == "__main__":
    main()
