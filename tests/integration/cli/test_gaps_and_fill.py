"""``coordinator gaps`` and ``fill``: what never ran is listed with its cause, and ordered once."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.commands.acts import Act, recorded_acts
from coordinator.commands.report import write_report
from coordinator.config.etcd import EtcdSettings
from coordinator.model.order import GivenOrder, Order, read_order
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.keys import Keys, OrderKey
from coordinator.store.port import Put, Transaction
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
    assert {(str(act.verb), act.signature.who, act.signature.why) for act in acts if isinstance(act, Act)} == {
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
    slip = scene("fill", "report", "2026-11-2", "--yes")
    assert (slip.exit_code, f"did you mean {DAYS[2]}?" in slip.stderr) == (ExitCode.PROBLEM, True)


class PlayedWatcher(threading.Thread):
    """Carries out each order as soon as it stands there, one after the other; the second run fails."""

    def __init__(self, scene: Scene, store: EtcdStore) -> None:
        super().__init__(daemon=True)
        self._scene = scene
        self._store = store
        self._stream = store.watch(scene.keys.every("order"), from_revision=store.list(scene.keys.root).revision + 1)
        self.carried_out: list[str] = []

    def run(self) -> None:
        while len(self.carried_out) < len(DAYS):
            changes = self._stream.receive(1)
            for change in changes.changes if changes is not None else ():
                parsed = self._scene.keys.parse(change.key)
                assert isinstance(parsed, OrderKey)
                self._carry_out(parsed.target, change.revision)
                self.carried_out.append(parsed.target.partition)
        self._stream.close()

    def _carry_out(self, target: Target, order: int) -> None:
        keys = self._scene.keys
        state = State.FAILED if target.partition == DAYS[1] else State.SUCCESS
        write_report(self._store, keys, target, RunStateDocument(state=state, run_id="r", attempt=1))
        for status in (Status.SENT, Status.DONE):
            record = TriggerRecord(status, 1, Action.CREATE, "r", "t", 1, order=order)
            self._store.commit(Transaction((), (Put(keys.trigger(target), dump_record(record)),)))


def test_a_fill_waits_for_each_run_to_end_and_says_how(scene: Scene, etcd_settings: EtcdSettings) -> None:
    store = connect(etcd_settings)
    watcher = PlayedWatcher(scene, store)
    watcher.start()
    done = scene("fill", "report", "--yes", "--max-in-flight", 1)
    watcher.join(10)
    store.close()
    assert watcher.carried_out == DAYS
    assert done.exit_code == ExitCode.PROBLEM
    said = [line for line in done.stdout.splitlines() if line.startswith("report@")]
    assert said == [
        f"report@{DAYS[0]}: ordered (1 of 3)",
        f"report@{DAYS[0]}: success",
        f"report@{DAYS[1]}: ordered (2 of 3)",
        f"report@{DAYS[1]}: failed",
        f"report@{DAYS[2]}: ordered (3 of 3)",
        f"report@{DAYS[2]}: success",
    ]
    assert "3 of 3 ordered, 3 ended, 1 of them without success" in done.stdout


def test_a_fill_that_is_interrupted_says_what_is_ordered(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("coordinator.commands.fill.wait_for_ends", interrupted)
    done = scene("fill", "report", "--yes", "--max-in-flight", 2)
    assert done.exit_code == ExitCode.INTERRUPTED
    assert "interrupted: 2 of 3 ordered; what is ordered runs, the same command goes on" in done.stderr
    assert scene.orders() == [("report", DAYS[0]), ("report", DAYS[1])]
    assert [gap["partition"] for gap in scene.json("gaps", "report")["gaps"]] == [DAYS[2]]


def test_dependencies_that_cannot_be_read_leave_doubt(scene: Scene) -> None:
    scene.etcd.commit(Transaction((), (Put(scene.keys.dependencies("team_b"), b"rubbish"),)))
    listed = scene("gaps")
    assert listed.exit_code == ExitCode.PROBLEM
    assert "6 gaps in 2 pipelines" in listed.stdout
    assert listed.stderr.count("not all dependencies are known") == 1
    assert "dependencies of team_b: JSONDecodeError" in listed.stderr


@pytest.mark.parametrize(("answer", "count"), [("y\n", 6), ("n\n", 0)])
def test_a_person_is_shown_the_gaps_and_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, answer: str, count: int
) -> None:
    nobody = scene("fill")
    assert (nobody.exit_code, scene.orders()) == (ExitCode.USAGE, [])
    assert "nothing was done: this asks first, as 6 gaps would be filled" in nobody.stderr
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("coordinator.cli.impact.sys", terminal)
    asked = scene("fill", stdin=answer)
    assert asked.exit_code == (ExitCode.OK if count else ExitCode.PROBLEM)
    assert "9 runs would happen" in asked.stdout
    assert len(scene.orders()) == count


def test_explain_and_status_say_how_to_order_what_came_before_the_dependency(scene: Scene) -> None:
    day = DAYS[0]
    said = scene("explain", "report", day).stdout
    assert "it has not run on load, which completed before the dependency counted" in said
    assert f"report: order the run: coordinator fill report {day}" in said
    assert "coordinator report" not in said, "it has not run: nobody should say that it has"
    below = scene("explain", "mail", day).stdout
    assert "report has not run on load, which completed before the dependency counted" in below
    assert f"report: order the run: coordinator fill report {day}" in below
    assert "3 partitions have not run" in scene("explain", "report").stdout

    told = (
        "6 partitions have not run on what their upstreams have completed (6 completed before the dependency counted)"
    )
    everything = scene("status").stdout
    assert told in everything
    assert "'coordinator gaps' lists them, 'coordinator fill' orders the runs" in everything
    of_one = scene("status", "--pipeline", "report", "--partition", day).stdout
    assert "1 partition has not run" in of_one
    assert "'coordinator fill report'" in of_one
    assert json.loads(scene("status", "--json").stdout)["gaps"] == {"past": 6}

    assert scene("fill", "--yes").exit_code == ExitCode.OK
    assert "coordinator fill" not in scene("status").stdout
    assert "coordinator fill" not in scene("explain", "report", day).stdout


def test_explain_says_how_to_order_what_was_given_up(scene: Scene) -> None:
    target = Target(PipelineRef.parse("report"), DAYS[0])
    given_up = TriggerRecord(Status.DONE, 0, Action.CREATE, None, "t", 0, last_error="nobody led", skipped=True)
    scene.etcd.commit(Transaction((), (Put(scene.keys.trigger(target), dump_record(given_up)),)))
    said = scene("explain", "report", DAYS[0]).stdout
    assert "it was given up (nobody led), and has not run on load" in said
    assert f"report: order the run: coordinator fill report {DAYS[0]}" in said
    assert "1 given up" in scene("status").stdout
