"""``coordinator forget``: a partition that should never have been goes, and nothing that somebody stands on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from coordinator.cli.failures import ExitCode
from coordinator.commands.acts import Act, Signature, recorded_acts
from coordinator.commands.forget import ChangedMeanwhile, forget
from coordinator.commands.order import put_order
from coordinator.commands.report import write_report
from coordinator.controller.state.cache import Cache
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.order import GivenOrder, Order
from coordinator.model.references import PipelineRef, Target, WaitRef
from coordinator.model.runstate import Attempt, RunStateDocument, State
from coordinator.model.taskstate import dump_task_state, task_state_of
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.model.waits import Wait, WaitStatus, dump_wait
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from tests.command_line import Cli

K = "2026-11-20T00:00:00Z"
PHANTOM = "2026-11-20"
LOAD, REPORT = PipelineRef("default", "load"), PipelineRef("default", "report")


class Scene:
    """report waits for load, which has run in K, and was marked in a phantom beside it."""

    def __init__(self, etcd: EtcdStore, keys: Keys, cli: Cli, config: Path, directory: Path) -> None:
        self.etcd = etcd
        self.keys = keys
        self._cli = cli
        self._config = config
        file = directory / "dependencies.json"
        file.write_text(json.dumps({"report": "load"}))
        assert self("apply", file, "--yes").exit_code == ExitCode.OK
        for partition in (K, PHANTOM):
            self.reported(Target(LOAD, partition))

    def __call__(self, *arguments: object, stdin: str | None = None) -> Any:
        return self._cli(*arguments, "-c", self._config, stdin=stdin)

    def reported(self, target: Target, state: State = State.SUCCESS) -> None:
        document = RunStateDocument(state=state, run_id=f"r-{target.partition}", attempt=1)
        write_report(self.etcd, self.keys, target, document)

    def report_ran_on_the_phantom(self) -> None:
        present = self.etcd.get(self.keys.state(Target(LOAD, PHANTOM)))
        assert present is not None
        consumed = {
            Target(LOAD, PHANTOM): Consumed(present.mod_revision, Attempt(f"r-{PHANTOM}", None, 1), State.SUCCESS)
        }
        record = TriggerRecord(Status.DONE, 1, Action.CREATE, "r", "t", 1, consumed=Consumption.of(consumed))
        self.write_record(record)
        self.reported(Target(REPORT, PHANTOM))

    def write_record(self, record: TriggerRecord) -> None:
        key = self.keys.trigger(Target(REPORT, PHANTOM))
        self.etcd.commit(Transaction((), (Put(key, dump_record(record)),)))

    def keys_of(self, partition: str) -> list[str]:
        kinds = ("state", "trigger", "order")
        found = [one.key for kind in kinds for one in self.etcd.list(self.keys.every(kind)).items]
        return [key.removeprefix(self.keys.root) for key in found if key.endswith(f"/{partition}")]

    def verbs(self) -> list[tuple[str, str, str | None, str]]:
        acts = [one.value for one in recorded_acts(self.etcd, self.keys)]
        return sorted(
            (str(act.verb), str(act.pipeline), act.partition, act.signature.why)
            for act in acts
            if isinstance(act, Act) and act.verb == "forget"
        )


@pytest.fixture
def scene(etcd: EtcdStore, keys: Keys, cli: Cli, config: Path, tmp_path: Path) -> Scene:
    return Scene(etcd, keys, cli, config, tmp_path)


def test_a_phantom_goes_with_all_its_keys_and_the_partition_beside_it_stays(scene: Scene) -> None:
    put_order(scene.etcd, scene.keys, Target(REPORT, PHANTOM), GivenOrder(Order.RERUN, "ann"))
    scene.write_record(TriggerRecord(Status.WITHDRAWN, 1, Action.CREATE, None, "t", 1))
    result = scene("forget", "load", PHANTOM, "--downstream", "--yes", "--reason", "T-123")
    assert result.exit_code == ExitCode.OK, result.stderr
    assert f"load@{PHANTOM}: forgotten" in result.stdout
    assert scene.keys_of(PHANTOM) == []
    assert scene.keys_of(K) == [f"state/default/load/{K}"]
    assert scene.verbs() == [("forget", "load", PHANTOM, "T-123"), ("forget", "report", PHANTOM, "T-123")]


def test_what_another_has_run_on_goes_only_together_with_it(scene: Scene) -> None:
    scene.report_ran_on_the_phantom()
    before = scene.etcd.list(scene.keys.root).items
    for name, why in (
        ("load", f"report@{PHANTOM} has run on load@{PHANTOM}"),
        ("report", f"report@{PHANTOM} would be started again"),
    ):
        refused = scene("forget", name, PHANTOM, "--yes")
        assert refused.exit_code == ExitCode.PROBLEM
        assert why in refused.stderr
        assert "--downstream" in refused.stderr
    assert scene.etcd.list(scene.keys.root).items == before
    told = json.loads(scene("forget", "load", PHANTOM, "--downstream", "--dry-run", "--json").stdout)
    assert told["forgets"] == [f"load@{PHANTOM}", f"report@{PHANTOM}"]
    assert scene.etcd.list(scene.keys.root).items == before
    assert scene("forget", "load", PHANTOM, "--downstream", "--yes").exit_code == ExitCode.OK
    assert scene.keys_of(PHANTOM) == []


def test_tasks_and_waits_go_with_their_partition(scene: Scene) -> None:
    """Also where nobody waits for the task any more, and whatever the sensor waited for."""
    run = Target(LOAD, PHANTOM)
    task, attempt = scene.keys.state(Target(LOAD._replace(task="laod"), PHANTOM)), Attempt(f"r-{PHANTOM}", None)
    wait = scene.keys.wait(WaitRef(run, f"r-{PHANTOM}", "sensor", -1))
    state = task_state_of((), run=attempt, observed_at=datetime.now(UTC))
    passed = Wait(WaitStatus.PASSED, Target(PipelineRef("default", "rates"), K))
    scene.etcd.commit(
        Transaction((), (Put(task, dump_task_state(state, reported_by="x")), Put(wait, dump_wait(passed))))
    )
    result = scene("forget", "load", PHANTOM, "--downstream", "--yes", "--json")
    assert result.exit_code == ExitCode.OK, result.stderr
    assert {task, wait} <= {*json.loads(result.stdout)["deleted"]}
    assert scene.etcd.get(task) is None
    assert scene.etcd.get(wait) is None


def test_what_runs_is_not_forgotten(scene: Scene) -> None:
    scene.reported(Target(LOAD, "2026-11-21"), State.RUNNING)
    refused = scene("forget", "load", "2026-11-21", "--yes")
    assert (refused.exit_code, "is queued or running" in refused.stderr) == (ExitCode.PROBLEM, True)


def test_another_spelling_of_what_is_there_is_not_taken_for_it(scene: Scene) -> None:
    """Repeated after the phantom has gone, the same command must not remove the partition that was meant to stay."""
    assert scene("forget", "load", PHANTOM, "--downstream", "--yes").exit_code == ExitCode.OK
    again = scene("forget", "load", PHANTOM, "--yes")
    assert again.exit_code == ExitCode.PROBLEM
    assert f"did you mean {K}?" in again.stderr
    assert scene.keys_of(K) == [f"state/default/load/{K}"]
    assert "did you mean load" in scene("forget", "lode", K, "--yes").stderr


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1)])
def test_a_person_is_asked(scene: Scene, monkeypatch: pytest.MonkeyPatch, answer: str, left: int) -> None:
    nobody = scene("forget", "load", PHANTOM, "--downstream")
    assert (nobody.exit_code, "--yes" in nobody.stderr) == (ExitCode.USAGE, True)
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("coordinator.cli.impact.sys", terminal)
    scene("forget", "load", PHANTOM, "--downstream", stdin=answer)
    assert len(scene.keys_of(PHANTOM)) == left


@pytest.mark.parametrize("what", ["state", "dependent"])
def test_what_has_changed_since_it_was_looked_at_is_not_forgotten(scene: Scene, what: str) -> None:
    cache = Cache(scene.keys)
    cache.replace(scene.etcd.list(scene.keys.root))
    target, dependent = Target(LOAD, PHANTOM), Target(REPORT, PHANTOM)
    if what == "state":
        scene.etcd.commit(Transaction((), (Put(scene.keys.state(target), b"failed"),)))
    else:
        scene.write_record(replace(TriggerRecord(Status.INTENT, 1, Action.CREATE, None, "t", 1), run_id="r"))
    signature = Signature("ann", datetime(2026, 11, 22, tzinfo=UTC))
    with pytest.raises(ChangedMeanwhile):
        forget(scene.etcd, scene.keys, cache, {target}, [dependent], signature, further={})
    assert scene.etcd.get(scene.keys.state(target)) is not None
    assert scene.verbs() == []


def test_of_what_is_only_coming_the_other_partitions_are_said(scene: Scene) -> None:
    """Nothing stands in etcd of report, but it can run where load has run."""
    scene.reported(Target(LOAD, "all"))
    refused = scene("forget", "report", "all", "--yes")
    assert refused.exit_code == ExitCode.PROBLEM
    assert f"nothing is known of report in partition all; the newest known: {K}, {PHANTOM}" in refused.stderr
