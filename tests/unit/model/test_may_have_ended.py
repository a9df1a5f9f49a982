"""A plan names the tasks that a document begins to wait for, and that may have ended in a run that goes on."""

from __future__ import annotations

import json
from typing import Any

from coordinator.model.dependencies import Document
from coordinator.model.documents import parse_document
from coordinator.model.publishing.may_have_ended import may_have_ended
from coordinator.model.references import PipelineRef, Target

LOAD = {"upstream": {"pipeline": "U", "task": "load"}}
RUNS = [Target(PipelineRef("default", name), "2026-11-21T00:00:00Z") for name in ("U", "V")]


def document(entries: dict[str, Any]) -> Document:
    return parse_document(json.dumps(entries), source="test")


def test_a_new_dependency_on_a_task_of_a_run_that_goes_on_is_named() -> None:
    found = may_have_ended(document({"D": LOAD, "E": "V"}), document({"E": "V"}), RUNS)
    assert found is not None
    assert found.endswith("may have ended already, and count as new then: U:load@2026-11-21T00:00:00Z")


def test_what_waited_for_it_before_and_runs_that_have_ended_are_not_named() -> None:
    waits = document({"D": LOAD})
    assert may_have_ended(waits, waits, RUNS) is None
    assert may_have_ended(waits, document({"E": "V"}), []) is None
    assert may_have_ended(document({"D": LOAD, "E": LOAD}), waits, RUNS) is not None, "E begins to wait"
