"""What is too large to work later: refused where it stands in the file, not when a night's batch has come so far."""

from __future__ import annotations

import json
from typing import Final

from coordinator.model import bounds
from coordinator.model.conditions import Dependency, leaves
from coordinator.model.dependencies import Downstream
from coordinator.model.mapping import MOST_MEMBERS, Rollup
from coordinator.model.parsing.findings import Cursor, Findings

_INPUT: Final = json.dumps(
    {
        "pipeline": "",
        "partition": "2026-11-20T00:00:00Z",
        "revision": 10**9,
        "state": "success",
        "run_id": "coordinator__2026-11-20T00:00:00Z__1",
        "queued_at": "2026-11-20T06:00:00.000000Z",
    },
    separators=(",", ":"),
)
_BYTES_OF_AN_INPUT: Final = 2 * (len(_INPUT) + 1)
"""In a trigger record, without the pipeline's name; twice, as used and as consumed."""


class Sizes:
    """Checks entries.

    :param in_force: refuse nothing.
    """

    def __init__(self, findings: Findings, *, in_force: bool) -> None:
        self._findings = findings
        self._in_force = in_force

    def check(self, cursor: Cursor, entry: Downstream) -> None:
        """Note what of an entry is too large. :param cursor: of the entry."""
        if self._in_force:
            return
        self._check_names(cursor, entry)
        inputs, size = _record_of(entry)
        if size > bounds.TRIGGER_RECORD:
            reason = (
                f"{inputs} inputs, whose trigger record would have about {size} bytes; "
                f"etcd takes {bounds.ETCD_REQUEST} in a request"
            )
            self._findings.add(cursor, reason, "gather some of them in a pipeline in between, or in a shorter window")
        size = len(json.dumps(entry.conf, separators=(",", ":")))
        if size > bounds.CONF:
            reason = f"a conf of {size} bytes; expected at most {bounds.CONF}"
            self._findings.add(cursor, reason, "put it where the DAG can read it, and its address into conf")

    def _check_names(self, cursor: Cursor, entry: Downstream) -> None:
        for pipeline in dict.fromkeys((entry.pipeline, *(leaf.upstream for leaf in leaves(entry.condition)))):
            for name, what in ((pipeline.environment, "an environment"), (pipeline.dag_id, "a dag_id")):
                if len(name) > bounds.AIRFLOW_NAME:
                    reason = f"{what} of {len(name)} characters; expected at most {bounds.AIRFLOW_NAME}, as Airflow has"
                    self._findings.add(cursor, reason)


def _record_of(entry: Downstream) -> tuple[int, int]:
    """How many inputs its trigger record has, and about how many bytes."""
    number, size = 0, 0
    for leaf in leaves(entry.condition):
        inputs = _inputs_of(leaf)
        number += inputs
        size += inputs * (_BYTES_OF_AN_INPUT + 2 * len(json.dumps(str(leaf.upstream))))
    return number, size


def _inputs_of(leaf: Dependency) -> int:
    return MOST_MEMBERS[leaf.mapping.window][leaf.mapping.every] if isinstance(leaf.mapping, Rollup) else 1
