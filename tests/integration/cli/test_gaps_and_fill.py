"""``coordinator gaps`` and ``fill``: what never ran is listed with its cause, and ordered once."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coordinator.acts import Act, recorded_acts
from coordinator.cli.failures import ExitCode
from coordinator.model.order import GivenOrder, Order, read_order
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.reporting import write_report
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from tests.command_line import Cli

DAYS = [f"2026-11-{day}T00:00:00Z" for day in (18, 19, 20)]


class Scene:
    """load has run on three days; then report -> mail and archive were made to wait for it."""

    def __init__(self, etcd: EtcdStore, keys: Keys, cli: Cli, config: Path, directory: Path) -> None:
        self.etcd = etcd
        self.keys = keys
        self._cli = cli
        self._config = config
        for number, day in enumerate(reversed(DAYS)):
            document = RunStateDocument(state=State.SUCCESS, run_id=f"r{number}", attempt=1)
            write_report(etcd, keys, Target(PipelineRef.parse("load"), day), document)
        file = directory / "dependencies.json"
        file.write_text(json.dumps({"report": "load", "mail": "report", "archive": "load"}))
        assert self("apply", file, "--yes").exit_code == ExitCode.OK

    def __call__(self, *arguments: object, stdin: str | None = None) -> Any:
        return self._cli(*arguments, "-c", self._config, stdin=stdin)

    def json(self, *arguments: object) -> Any:
        result = self(*arguments, "--json")
        assert result.exit_code == ExitCode.OK, result.stderr
        return json.loads(result.stdout)

    def orders(self) -> list[tuple[str, str]]:
        """What has been ordered, in the order in which that was done."""
        found = self.etcd.list(self.keys.every("order")).items
        assert all(isinstance(read_order(one.value), GivenOrder) for one in found)
        found.sort(key=lambda one: one.mod_revision)
        return [(one.key.split("/")[-2], one.key.split("/")[-1]) for one in found]


@pytest.fixture
def scene(etcd: EtcdStore, keys: Keys, cli: Cli, config: Path, tmp_path: Path) -> Scene:
    return Scene(etcd, keys, cli, config, tmp_path)


def test_gaps_are_listed_oldest_first_with_their_cause(scene: Scene) -> None:
    found = scene.json("gaps")["gaps"]
    assert [(gap["partition"], gap["pipeline"]) for gap in found] == [
        (day, name) for day in DAYS for name in ("archive", "report")
    ]
    assert found[0] == {
        "pipeline": "archive",
        "partition": DAYS[0],
        "cause": "past",
        "has_run": False,
        "inputs": [{"pipeline": "load", "partition": DAYS[0]}],
        "note": None,
    }
    table = scene("gaps").stdout
    assert "completed before the dependency counted" in table
    assert "6 gaps in 2 pipelines" in table


def test_gaps_of_one_pipeline_in_a_span(scene: Scene) -> None:
    found = scene.json("gaps", "report", "--since", "2026-11-19", "--until", "2026-11-19")["gaps"]
    assert [(gap["pipeline"], gap["partition"]) for gap in found] == [("report", DAYS[1])]
    assert "there are no gaps" in scene("gaps", "mail").stdout
    unknown = scene("gaps", "reprot")
    assert (unknown.exit_code, "did you mean report" in unknown.stderr) == (ExitCode.PROBLEM, True)
    assert scene("gaps", "--since", "yesterday").exit_code == ExitCode.USAGE


def test_a_dry_run_lists_the_gaps_and_every_run_and_orders_nothing(scene: Scene) -> None:
    said = scene.json("fill", "report", "--dry-run")
    assert [gap["partition"] for gap in said["gaps"]] == DAYS
    assert sorted((run["pipeline"], run["partition"]) for run in said["runs"]) == sorted(
        (name, day) for day in DAYS for name in ("mail", "report")
    )
    shown = scene("fill", "report", "--dry-run").stdout
    assert "3 gaps in 1 pipeline" in shown
    assert "6 runs would happen" in shown
    assert scene.orders() == []


def test_gaps_are_filled_oldest_first_and_once(scene: Scene) -> None:
    done = scene("fill", "--yes", "--reason", "T-123", "--who", "ann")
    assert done.exit_code == ExitCode.OK, done.stderr
    assert "6 of 6 ordered" in done.stdout
    assert "no watcher leads: what is ordered waits until one does" in done.stderr
    assert scene.orders() == [(name, day) for day in DAYS for name in ("archive", "report")]
    acts = [one.value for one in recorded_acts(scene.etcd, scene.keys)]
    assert {(str(act.deed), act.signature.who, act.signature.why) for act in acts if isinstance(act, Act)} == {
        ("fill", "ann", "T-123")
    }
    assert len(acts) == 6
    assert scene.json("fill", "--yes")["gaps"] == []
    assert scene.json("gaps")["gaps"] == []
    assert len(scene.orders()) == 6


def test_one_partition_is_filled_however_it_is_spelled(scene: Scene) -> None:
    said = scene.json("fill", "report", "2026-11-19", "--yes")
    assert [(one["pipeline"], one["partition"], one["ended"]) for one in said["ordered"]] == [
        ("report", DAYS[1], False)
    ]
    assert scene.orders() == [("report", DAYS[1])]
    order = scene.etcd.get(scene.keys.order(Target(PipelineRef.parse("report"), DAYS[1])))
    assert order is not None
    given = read_order(order.value)
    assert isinstance(given, GivenOrder)
    assert given.order is Order.RERUN
    assert scene("fill", "report", DAYS[1], "--since", "2026-11-19").exit_code == ExitCode.USAGE


@pytest.mark.parametrize(("answer", "count"), [("y\n", 6), ("n\n", 0)])
def test_a_person_is_shown_the_gaps_and_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, answer: str, count: int
) -> None:
    nobody = scene("fill")
    assert (nobody.exit_code, scene.orders()) == (ExitCode.USAGE, [])
    assert "nothing was done: this asks first, as 6 gaps would be filled" in nobody.stderr
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("coordinator.cli.following_runs.sys", terminal)
    asked = scene("fill", stdin=answer)
    assert asked.exit_code == (ExitCode.OK if count else ExitCode.PROBLEM)
    assert "9 runs would happen" in asked.stdout
    assert len(scene.orders()) == count
