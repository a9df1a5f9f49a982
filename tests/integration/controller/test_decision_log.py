"""The decision log of the service: shared by watchers, rotated under them, and never in the way of a trigger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def told(path: Path) -> list[tuple[str, str, int]]:
    return [(line["what"], line["pipeline"], line["sequence"]) for line in lines(path)]


def test_two_watchers_share_a_log_that_is_rotated_and_each_run_has_its_reason_in_it(
    served: ServedWorld, tmp_path: Path
) -> None:
    path = tmp_path / "decisions.jsonl"
    served.dependencies({"A": "R", "D": ["R", "A"]})
    first, second = served.serve("--decision-log", str(path)), served.serve("--decision-log", str(path), leads=False)
    served.complete("R")
    served.until_done("A", "D", runs=1)
    until(lambda: len(lines(path)) == 6, "both triggers are told")
    assert sorted(told(path)) == [(what, name, 1) for what in ("done", "fire", "sent") for name in "AD"]
    rotated = path.rename(tmp_path / "decisions.jsonl.1")

    first.terminate()
    assert first.wait() == 0
    until(second.leads, "the other leads")
    served.complete("R", wave=2)
    served.until_done("A", "D", runs=2)
    until(lambda: path.exists() and len(lines(path)) == 6, "the second wave is told in a new file")
    assert sorted(told(path)) == [(what, name, 2) for what in ("done", "fire", "sent") for name in "AD"]
    assert len(lines(rotated)) == 6

    (before,) = (line for line in lines(rotated) if (line["what"], line["pipeline"]) == ("fire", "D"))
    (again,) = (line for line in lines(path) if (line["what"], line["pipeline"]) == ("fire", "D"))
    assert (before["who"], again["who"]) == (first.watcher_id, second.watcher_id)
    assert {one["pipeline"]: one["new"] for one in again["inputs"]} == {"R": True, "A": True}
    assert {one["pipeline"]: one["before"] for one in again["inputs"]} == {
        one["pipeline"]: one["revision"] for one in before["inputs"]
    }


def test_a_full_disk_is_shown_and_triggers_go_on(served: ServedWorld) -> None:
    served.dependencies({"A": "R"})
    watcher = served.serve("--decision-log", "/dev/full")
    for wave in (1, 2):
        served.complete("R", wave=wave)
        served.until_done("A", runs=wave)
    until(lambda: "decision log" in watcher.problems(), "it is shown")
    assert "No space left" in watcher.problems()["decision log"]
    assert len(watcher.events("decision_log.losing")) == 1, "said once"


def test_it_can_go_to_standard_output(served: ServedWorld) -> None:
    served.dependencies({"A": "R"})
    watcher = served.serve("--decision-log", "-")  # the service's stdout and stderr go to the same file here
    served.complete("R")
    served.until_done("A", runs=1)
    watcher.terminate()
    assert watcher.wait() == 0
    said = [json.loads(line) for line in watcher.log().splitlines() if line.startswith('{"when": ')]
    assert [(line["what"], line["pipeline"]) for line in said] == [("fire", "A"), ("sent", "A"), ("done", "A")]
