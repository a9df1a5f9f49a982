"""``coordinator rerun``, ``mark``, ``release`` and ``acts``: told before, asked about, and recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from coordinator.cli.failures import ExitCode
from coordinator.commands.acts import Act, Signature, Verb, put_of, read_act, recorded_acts
from coordinator.commands.hold import delete_hold, put_hold
from coordinator.commands.mark import ChangedMeanwhile, mark
from coordinator.commands.order import cancel_order, put_order
from coordinator.commands.report import write_report
from coordinator.model.consumption import Consumed, Consumption
from coordinator.model.hold import Hold
from coordinator.model.order import GivenOrder, Order, read_order
from coordinator.model.partitions.instants import parse_instant
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import Attempt, RunState, RunStateDocument, State, Unreadable, read_run_state
from coordinator.model.trigger import Action, Status, TriggerRecord, dump_record
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from tests.command_line import Cli

K = "2026-11-20T00:00:00Z"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Scene:
    """load -> report -> team_b/mail; load -> archive (rerun ``ignore``), load -> check (``hold``). All have run."""

    def __init__(self, etcd: EtcdStore, keys: Keys, cli: Cli, config: Path, directory: Path) -> None:
        self.etcd = etcd
        self.keys = keys
        self._cli = cli
        self._config = config
        documents = {
            "default": {
                "report": "load",
                "archive": {"upstream": "load", "rerun": "ignore"},
                "check": {"upstream": "load", "rerun": "hold"},
            },
            "team_b": {"team_b/mail": "report"},
        }
        for owner, document in documents.items():
            file = directory / f"{owner}.json"
            file.write_text(json.dumps(document))
            assert self("apply", file, "--owner", owner, "--yes").exit_code == ExitCode.OK
        load = self.ran("load")
        report = self.ran("report", load)
        self.ran("archive", load)
        self.ran("check", load)
        self.ran("team_b/mail", report)

    def __call__(self, *arguments: object, stdin: str | None = None) -> Any:
        return self._cli(*arguments, "-c", self._config, stdin=stdin)

    def json(self, *arguments: object) -> Any:
        result = self(*arguments, "--json")
        assert result.exit_code == ExitCode.OK, result.stderr
        return json.loads(result.stdout)

    def ran(self, name: str, *upstreams: Target, minutes: int = 0) -> Target:
        """A pipeline has run, because of these."""
        target = Target(PipelineRef.parse(name), K)
        queued_at = NOON + timedelta(minutes=minutes)
        document = RunStateDocument(state=State.SUCCESS, run_id=f"run-{target.pipeline.dag_id}", queued_at=queued_at)
        consumed = {}
        for upstream in upstreams:
            seen = self.etcd.get(self.keys.state(upstream))
            assert seen is not None
            state = read_run_state(seen.value)
            assert isinstance(state, RunState)
            consumed[upstream] = Consumed(seen.mod_revision, state.attempt, state.state)
        if upstreams:
            used = Consumption.of(consumed)
            record = TriggerRecord(
                Status.DONE,
                1,
                Action.CREATE,
                document.run_id,
                "t",
                1,
                attempt=queued_at,
                consumed=used,
            )
            self.etcd.commit(Transaction((), (Put(self.keys.trigger(target), dump_record(record)),)))
        write_report(self.etcd, self.keys, target, document)
        return target

    def order(self, name: str, partition: str = K) -> GivenOrder | Unreadable | None:
        found = self.etcd.get(self.keys.order(Target(PipelineRef.parse(name), partition)))
        return None if found is None else read_order(found.value)

    def state(self, name: str) -> RunStateDocument:
        found = self.etcd.get(self.keys.state(Target(PipelineRef.parse(name), K)))
        assert found is not None
        return RunStateDocument.model_validate_json(found.value)

    def verbs(self) -> list[tuple[str, str, str | None, str, str]]:
        found = []
        for one in recorded_acts(self.etcd, self.keys):
            assert isinstance(one.value, Act)
            signed = one.value.signature
            found.append((str(one.value.verb), str(one.value.pipeline), one.value.partition, signed.who, signed.why))
        return found


@pytest.fixture
def scene(etcd: EtcdStore, keys: Keys, cli: Cli, config: Path, tmp_path: Path) -> Scene:
    return Scene(etcd, keys, cli, config, tmp_path)


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("coordinator.cli.impact.sys", terminal)


# -- rerun -----------------------------------------------------------------------------------------------------------


def test_a_dry_run_lists_every_run_by_environment_and_owner_and_touches_nothing(scene: Scene) -> None:
    before = scene.etcd.list(scene.keys.root).items
    for flags in (("--dry-run",), ("--downstream", "--dry-run")):
        said = scene.json("rerun", "load", K, *flags)
        assert said["dry_run"] is True
        shown = [(run["environment"], run["owner"], run["pipeline"], run["how"]) for run in said["runs"]]
        assert shown[0] == ("default", None, "load", "clear")
        assert sorted(shown[1:4]) == [
            ("default", "default", "archive", "ignored"),
            ("default", "default", "check", "waits for release"),
            ("default", "default", "report", "clear"),
        ]
        assert shown[4:] == [("team_b", "team_b", "team_b/mail", "clear")]
        assert said["runs"][0] | {"partition": K, "run_id": "run-load", "state": "success"} == said["runs"][0]
    table = scene("rerun", "load", K, "--dry-run").stdout
    assert "3 runs would happen" in table
    assert "nothing was done: this is a dry run" in table
    assert scene.etcd.list(scene.keys.root).items == before


def test_a_rerun_with_others_below_it_is_refused_until_it_is_said_that_they_are_meant(scene: Scene) -> None:
    result = scene("rerun", "load", K)
    assert result.exit_code == ExitCode.PROBLEM
    assert "nothing was done: 3 pipelines below it follow" in result.stderr
    assert all(name in result.stderr for name in ("report", "check", "team_b/mail", "--downstream", "--dry-run"))
    assert "archive" not in result.stderr
    # Nobody can answer here.
    asked = scene("rerun", "load", K, "--downstream")
    assert (asked.exit_code, scene.order("load")) == (ExitCode.USAGE, None)
    assert "--yes" in asked.stderr

    result = scene("rerun", "load", K, "--downstream", "--yes", "--reason", "T-123", "--who", "ann")
    assert result.exit_code == ExitCode.OK, result.stderr
    assert f"load@{K}: its rerun is ordered, at revision " in result.stdout
    order = scene.order("load")
    assert isinstance(order, GivenOrder)
    assert (order.order, order.who, order.why) == (Order.RERUN, "ann", "T-123")
    assert scene.verbs() == [("rerun", "load", K, "ann", "T-123")]


@pytest.mark.parametrize(("answer", "ordered"), [("y\n", True), ("n\n", False)])
def test_a_person_is_shown_every_run_and_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, answer: str, ordered: bool
) -> None:
    at_a_terminal(monkeypatch)
    result = scene("rerun", "report", K, "--downstream", stdin=answer)
    assert result.exit_code == (ExitCode.OK if ordered else ExitCode.PROBLEM)
    assert "2 runs would happen" in result.stdout
    assert (scene.order("report") is not None) is ordered
    assert ("nothing was done" in result.stdout) is not ordered


def test_a_rerun_with_nothing_below_it_needs_no_more_words_and_is_ordered_once(scene: Scene) -> None:
    first = scene.json("rerun", "team_b/mail", "2026-11-20 01:00+01:00", "--who", "ann")
    assert (first["partition"], first["ordered"], len(first["runs"])) == (K, True, 1)
    again = scene("rerun", "team_b/mail", K, "--who", "bob")
    assert again.exit_code == ExitCode.OK
    assert "is ordered already, by ann, and not begun yet" in again.stdout
    assert [who for *_, who, _ in scene.verbs()] == ["ann"]


COMMANDS = [("rerun", (), ()), ("mark", (), ("success",)), ("release", ("--force",), ())]
"""Each with what it needs before and after the partition."""


@pytest.mark.parametrize(("command", "flags", "more"), COMMANDS)
def test_a_partition_that_nobody_has_heard_of_is_acted_upon_only_if_it_is_said_to_be_new(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, command: str, flags: tuple[str, ...], more: tuple[str, ...]
) -> None:
    """It would get a run of its own in Airflow, for what may be a slip of the pen."""
    call = (command, "team_b/mail", *flags, "2026-11-2", *more)
    unknown = f"nothing is known of team_b/mail in partition 2026-11-2; did you mean {K}?"
    before = scene.etcd.list(scene.keys.root).items
    for consent in ((), ("--yes",), ("--json",)):
        result = scene(*call, *consent)
        assert result.exit_code == ExitCode.PROBLEM
        assert f"{unknown} 'coordinator explain team_b/mail' lists them; --new-partition says that" in result.stderr
    assert unknown in scene(*call, "--dry-run").stdout
    at_a_terminal(monkeypatch)
    refused = scene(*call, stdin="n\n")
    assert (refused.exit_code, unknown in refused.stdout) == (ExitCode.PROBLEM, True)
    assert scene.etcd.list(scene.keys.root).items == before
    assert scene(*call, "--new-partition").exit_code == ExitCode.OK
    assert [partition for _, _, partition, _, _ in scene.verbs()] == ["2026-11-2"]


@pytest.mark.parametrize("typed", ["2026-11-20", "2026-11-20T00:00", "2026-11-20 01:00+01:00"])
@pytest.mark.parametrize(("command", "flags", "more"), COMMANDS)
def test_every_spelling_of_a_moment_is_the_partition_that_is_there(
    scene: Scene, command: str, flags: tuple[str, ...], more: tuple[str, ...], typed: str
) -> None:
    result = scene(command, "team_b/mail", *flags, typed, *(("failed",) if more else ()))
    assert result.exit_code == ExitCode.OK, result.stderr
    assert [partition for _, _, partition, _, _ in scene.verbs()] == [K]
    assert {
        one.key.split("/")[-1] for kind in ("state", "order") for one in scene.etcd.list(scene.keys.every(kind)).items
    } == {K}


def test_a_new_moment_gets_the_form_from_which_a_run_takes_its_logical_date(scene: Scene) -> None:
    refused = scene("rerun", "team_b/mail", "2026-11-20T05:00", "--yes")
    assert (refused.exit_code, scene.verbs()) == (ExitCode.PROBLEM, [])
    said = scene.json("rerun", "team_b/mail", "2026-11-20T05:00", "--new-partition")
    assert said["partition"] == "2026-11-20T05:00:00Z"
    assert parse_instant(said["partition"]) is not None
    assert isinstance(scene.order("team_b/mail", "2026-11-20T05:00:00Z"), GivenOrder)


@pytest.mark.parametrize(
    "call",
    [
        ("rerun", "lode", K),
        ("mark", "lode", K, "success"),
        ("release", "lode"),
        ("release", "lode", K, "--force"),
        ("release", "lode", "--all-partitions"),
        ("hold", "lode", "--reason", "bad file"),
        ("fill", "lode"),
        ("gaps", "lode"),
    ],
)
def test_an_unknown_pipeline_is_refused_with_the_nearest_names(scene: Scene, call: tuple[str, ...]) -> None:
    before = scene.etcd.list(scene.keys.root).items
    for more in ((), ("--yes",)) if call[0] != "gaps" else ((),):
        result = scene(*call, *more)
        assert result.exit_code == ExitCode.PROBLEM
        assert "did you mean load" in result.stderr
    assert scene.etcd.list(scene.keys.root).items == before


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("rerun", "to_come", K, "--new-partition"), "its rerun is ordered"),
        (("mark", "to_come", K, "success", "--new-partition"), "marked as success"),
        (("release", "to_come"), "was not held"),
        (("hold", "to_come", "--reason", "not yet"), "held: 'not yet'"),
    ],
)
def test_a_pipeline_that_is_said_to_be_new_is_acted_upon(scene: Scene, call: tuple[str, ...], said: str) -> None:
    result = scene(*call, "--new-pipeline")
    assert result.exit_code == ExitCode.OK, result.stderr
    assert said in result.stdout


def test_a_rerun_of_a_held_pipeline_says_that_it_waits(scene: Scene) -> None:
    scene("hold", "team_b/mail", "-r", "bad file")
    assert scene.json("rerun", "team_b/mail", K, "--dry-run")["runs"][0]["how"] == "held"
    assert "it is held: coordinator explain team_b/mail" in scene("rerun", "team_b/mail", K).stdout


# -- release ---------------------------------------------------------------------------------------------------------


def test_a_partition_is_released_only_where_it_waits_for_that(scene: Scene) -> None:
    result = scene("release", "check", K)
    assert result.exit_code == ExitCode.PROBLEM
    assert "does not wait for a release; it waits for that nowhere" in result.stderr
    assert scene.order("check") is None

    scene.ran("load", minutes=5)
    listed = scene("release", "check")
    assert listed.exit_code == ExitCode.PROBLEM
    assert "check: was not held" in listed.stdout
    assert f"coordinator release check {K}" in listed.stdout
    elsewhere = scene("release", "check", "2026-11-21")
    assert f"it waits in {K}" in elsewhere.stderr
    reported = scene("report", "check", "success", "-p", "2026-11-19", "--run-id", "r", "--attempt", "1")
    assert reported.exit_code == 0
    known = scene("release", "check", "2026-11-19T00:00:00Z")
    assert f"it waits in {K}" in known.stderr, "also where the partition that is asked about is known"

    assert scene.json("release", "check", "--all-partitions", "--who", "ann")["released"][0]["changed"] is True
    order = scene.order("check")
    assert isinstance(order, GivenOrder)
    assert order.order is Order.RELEASE
    assert scene.verbs() == [("release", "check", K, "ann", "")]
    assert "waits for a release in no partition" in scene("release", "check", "--all-partitions").stdout


def test_the_release_of_a_hold_is_asked_about_where_it_starts_something(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene("hold", "report", "--reason", "bad file")
    assert scene("release", "report").exit_code == ExitCode.OK, "nothing is due"
    scene("hold", "report", "--reason", "bad file")
    scene.ran("load", minutes=5)
    nobody = scene("release", "report")
    assert nobody.exit_code == ExitCode.USAGE
    assert "nothing was done: this asks first, as 2 runs would happen" in nobody.stderr
    assert [run["pipeline"] for run in scene.json("release", "report", "--dry-run")["runs"]] == [
        "report",
        "team_b/mail",
    ]
    at_a_terminal(monkeypatch)
    assert scene("release", "report", stdin="n\n").exit_code == ExitCode.PROBLEM
    assert [verb for verb, *_ in scene.verbs()] == ["hold", "release", "hold"]
    asked = scene("release", "report", stdin="y\n")
    assert (asked.exit_code, "2 runs would happen" in asked.stdout) == (ExitCode.OK, True)
    assert scene.verbs()[0][0] == "release"


def test_a_partition_is_released_in_advance_only_by_force(scene: Scene) -> None:
    assert scene("release", "check", K, "--force").exit_code == ExitCode.OK
    assert isinstance(scene.order("check"), GivenOrder)
    assert scene("release", "check", "--force").exit_code == ExitCode.USAGE


# -- mark ------------------------------------------------------------------------------------------------------------


def test_a_mark_keeps_the_attempt_and_says_who_and_why(scene: Scene) -> None:
    said = scene.json("mark", "team_b/mail", K, "failed", "--reason", "sent twice", "--who", "ann")
    assert (said["marked"], said["run_id"], said["runs"]) == (True, "run-mail", [])
    state = scene.state("team_b/mail")
    assert (state.state, state.run_id, state.queued_at) == (State.FAILED, "run-mail", NOON)
    assert (state.marked, state.reported_by, state.note) == (True, "ann", "sent twice")
    assert scene.verbs() == [("mark", "team_b/mail", K, "ann", "sent twice")]
    again = scene("mark", "team_b/mail", K, "failed")
    assert "is failed already, nothing was written" in again.stdout
    assert len(scene.verbs()) == 1


def test_what_would_follow_from_a_mark_is_told_before(scene: Scene) -> None:
    (mail,) = scene.json("mark", "report", K, "failed", "--dry-run")["runs"]
    assert (mail["pipeline"], mail["how"], mail["runs"]) == ("team_b/mail", "waits", False)
    failed = RunStateDocument(state=State.FAILED, run_id="run-report", queued_at=NOON + timedelta(minutes=6))
    write_report(scene.etcd, scene.keys, Target(PipelineRef.parse("report"), K), failed)
    (mail,) = scene.json("mark", "report", K, "success", "--dry-run")["runs"]
    assert (mail["pipeline"], mail["how"], mail["run_id"]) == ("team_b/mail", "clear", "run-mail")
    assert scene("mark", "report", K, "success").exit_code == ExitCode.USAGE  # nobody can answer here
    assert scene.state("report").state is State.FAILED
    assert scene("mark", "report", K, "success", "--yes").exit_code == ExitCode.OK
    assert scene.state("report").state is State.SUCCESS


def test_a_run_that_is_on_its_way_is_marked_only_by_force(scene: Scene) -> None:
    running = RunStateDocument(state=State.RUNNING, run_id="run-mail", queued_at=NOON + timedelta(minutes=1))
    write_report(scene.etcd, scene.keys, Target(PipelineRef.parse("team_b/mail"), K), running)
    result = scene("mark", "team_b/mail", K, "success")
    assert result.exit_code == ExitCode.PROBLEM
    assert "is queued or running: its own report is to be expected" in result.stderr
    assert scene("mark", "team_b/mail", K, "success", "--force").exit_code == ExitCode.OK
    assert scene.state("team_b/mail").queued_at == NOON + timedelta(minutes=1)


def test_a_run_that_we_started_is_marked_as_the_attempt_that_it_is(scene: Scene) -> None:
    """Its state still tells of the attempt before: a mark of that one would end nothing."""
    target, attempt = Target(PipelineRef.parse("team_b/mail"), K), NOON + timedelta(minutes=9)
    sent = TriggerRecord(Status.SENT, 2, Action.CLEAR, "run-mail", "t", 1, attempt=attempt)
    scene.etcd.commit(Transaction((), (Put(scene.keys.trigger(target), dump_record(sent)),)))
    assert scene("mark", "team_b/mail", K, "failed", "--force").exit_code == ExitCode.OK
    assert (scene.state("team_b/mail").queued_at, scene.state("team_b/mail").state) == (attempt, State.FAILED)


@pytest.mark.promise("orders")
def test_a_run_whose_request_is_on_its_way_is_not_marked_even_by_force(scene: Scene) -> None:
    """Nobody knows yet which attempt it makes: the mark would be on the one before, and soon be overruled."""
    target = Target(PipelineRef.parse("team_b/mail"), K)
    intent = TriggerRecord(Status.INTENT, 2, Action.CLEAR, "run-mail", "t", 1, before=NOON)
    scene.etcd.commit(Transaction((), (Put(scene.keys.trigger(target), dump_record(intent)),)))
    before = scene.state("team_b/mail")
    result = scene("mark", "team_b/mail", K, "failed", "--force")
    assert result.exit_code == ExitCode.PROBLEM
    assert "its request is on its way to environment team_b" in result.stderr
    assert (scene.state("team_b/mail"), scene.verbs()) == (before, [])
    assert scene("mark", "team_b/mail", K, "failed", "--dry-run").exit_code == ExitCode.OK


def test_a_mark_on_what_has_changed_since_it_was_looked_at_is_refused(scene: Scene) -> None:
    target = Target(PipelineRef.parse("load"), K)
    seen = scene.etcd.get(scene.keys.state(target))
    assert seen is not None
    scene.ran("load", minutes=5)
    signature = Signature("ann", NOON)
    with pytest.raises(ChangedMeanwhile):
        mark(scene.etcd, scene.keys, target, State.FAILED, signature, looked_at=seen.mod_revision)
    assert (scene.state("load").state, scene.verbs()) == (State.SUCCESS, [])


def test_a_mark_on_a_pipeline_that_has_been_started_since_it_was_looked_at_is_refused(scene: Scene) -> None:
    """Its state does not tell yet: the mark would be of the attempt before, and the new one would overrule it."""
    target = Target(PipelineRef.parse("team_b/mail"), K)
    seen, recorded = scene.etcd.get(scene.keys.state(target)), scene.etcd.get(scene.keys.trigger(target))
    assert seen is not None
    assert recorded is not None
    intent = TriggerRecord(Status.INTENT, 2, Action.CLEAR, "run-mail", "t", 1)
    scene.etcd.commit(Transaction((), (Put(scene.keys.trigger(target), dump_record(intent)),)))
    looked_at, signature = seen.mod_revision, Signature("ann", NOON)
    with pytest.raises(ChangedMeanwhile, match="its trigger record has changed"):
        mark(
            scene.etcd,
            scene.keys,
            target,
            State.FAILED,
            signature,
            looked_at=looked_at,
            record_at=recorded.mod_revision,
        )
    assert (scene.state("team_b/mail").state, scene.verbs()) == (State.SUCCESS, [])


@pytest.mark.parametrize("value", [None, b"success", b"rubbish"])
def test_a_mark_without_an_attempt_has_none_either(etcd: EtcdStore, keys: Keys, value: bytes | None) -> None:
    target, looked_at = Target(PipelineRef("default", "a"), K), 0
    if value is not None:
        looked_at = etcd.commit(Transaction((), (Put(keys.state(target), value),))).revision
    made = mark(etcd, keys, target, State.FAILED, Signature("ann", NOON), looked_at=looked_at)
    assert made.after == RunState(State.FAILED, Attempt(), NOON, marked=True, ended_at=NOON)


def test_a_mark_keeps_what_else_was_reported(etcd: EtcdStore, keys: Keys) -> None:
    target = Target(PipelineRef("default", "a"), K)
    value = b'{"state": "failed", "run_id": "r", "attempt": 3, "logical_date": "2026-11-20T00:00:00Z", "theirs": [1]}'
    revision = etcd.commit(Transaction((), (Put(keys.state(target), value),))).revision
    mark(etcd, keys, target, State.SUCCESS, Signature("ann", NOON, "by hand"), looked_at=revision)
    present = etcd.get(keys.state(target))
    assert present is not None
    assert json.loads(present.value) == {
        "state": "success",
        "run_id": "r",
        "attempt": 3,
        "logical_date": "2026-11-20T00:00:00Z",
        "theirs": [1],
        "observed_at": "2026-11-20T12:00:00Z",
        "reported_by": "ann",
        "note": "by hand",
        "marked": True,
    }


# -- orders ----------------------------------------------------------------------------------------------------------


@pytest.mark.promise("orders")
@pytest.mark.parametrize(
    ("present", "record", "wanted", "written"),
    [
        (None, None, Order.RERUN, True),
        (Order.RERUN, None, Order.RERUN, False),
        (Order.RERUN, None, Order.RELEASE, False),
        (Order.RELEASE, None, Order.RERUN, True),
        # It has been carried out, or its request may be on its way: what is asked for now comes after that.
        (Order.RERUN, "carried out", Order.RERUN, True),
        (Order.RERUN, "on its way", Order.RERUN, True),
        (Order.RERUN, "another on its way", Order.RERUN, False),
    ],
)
def test_an_order_that_waits_is_not_given_twice(
    etcd: EtcdStore, keys: Keys, present: Order | None, record: str | None, wanted: Order, written: bool
) -> None:
    target = Target(PipelineRef("default", "a"), K)
    if present is not None:
        revision = put_order(etcd, keys, target, GivenOrder(present, "ann", NOON)).revision
        trigger = TriggerRecord(Status.INTENT, 1, Action.CLEAR, "r", "t", 1)
        match record:
            case "carried out":
                trigger = replace(trigger, status=Status.SENT, order=revision)
            case "on its way":
                trigger = replace(trigger, ordered=revision)
        if record is not None:
            etcd.commit(Transaction((), (Put(keys.trigger(target), dump_record(trigger)),)))
    acts_before = len(recorded_acts(etcd, keys))
    change = put_order(etcd, keys, target, GivenOrder(wanted, "bob", NOON))
    assert change.changed is written
    assert len(recorded_acts(etcd, keys)) - acts_before == written
    assert change.given.who == ("bob" if written else "ann")


def test_a_rerun_is_taken_back_before_it_has_begun(scene: Scene) -> None:
    assert scene("rerun", "team_b/mail", K, "--who", "ann").exit_code == ExitCode.OK
    said = scene("rerun", "team_b/mail", K, "--cancel", "--who", "bob", "--reason", "wrong day")
    assert (said.exit_code, "its rerun is taken back" in said.stdout) == (ExitCode.OK, True)
    assert scene.order("team_b/mail") is None
    assert scene.verbs()[0] == ("cancel", "team_b/mail", K, "bob", "wrong day")
    again = scene.json("rerun", "team_b/mail", K, "--cancel")
    assert (again["cancelled"], again["order"]) == (False, None)
    assert len(scene.verbs()) == 2, "what changes nothing is no act"


def test_a_release_in_advance_is_taken_back_too(scene: Scene) -> None:
    scene("release", "check", K, "--force")
    assert "its release is taken back" in scene("rerun", "check", K, "--cancel").stdout
    assert scene.order("check") is None


def test_to_cancel_goes_with_no_other_wish(scene: Scene) -> None:
    assert scene("rerun", "team_b/mail", K, "--cancel", "--yes").exit_code == ExitCode.USAGE


@pytest.mark.promise("orders")
@pytest.mark.parametrize(
    ("record", "changed", "on_its_way"),
    [
        (None, True, False),
        ("carried out", False, False),
        ("on its way", True, True),
        ("another on its way", True, False),
    ],
)
def test_an_order_is_taken_back_unless_it_has_been_carried_out(
    etcd: EtcdStore, keys: Keys, record: str | None, changed: bool, on_its_way: bool
) -> None:
    target = Target(PipelineRef("default", "a"), K)
    revision = put_order(etcd, keys, target, GivenOrder(Order.RERUN, "ann", NOON)).revision
    trigger = TriggerRecord(Status.INTENT, 1, Action.CLEAR, "r", "t", 1)
    if record == "carried out":
        trigger = replace(trigger, status=Status.SENT, order=revision)
    elif record == "on its way":
        trigger = replace(trigger, ordered=revision)
    if record is not None:
        etcd.commit(Transaction((), (Put(keys.trigger(target), dump_record(trigger)),)))
    done = cancel_order(etcd, keys, target, Signature("bob", NOON + timedelta(minutes=1)))
    assert (done.changed, done.on_its_way) == (changed, on_its_way)
    assert (etcd.get(keys.order(target)) is None) is changed
    assert [one.value.verb for one in recorded_acts(etcd, keys) if isinstance(one.value, Act)] == (
        [Verb.CANCEL, Verb.RERUN] if changed else [Verb.RERUN]
    )


def test_an_order_that_cannot_be_read_is_taken_away(etcd: EtcdStore, keys: Keys) -> None:
    target = Target(PipelineRef("default", "a"), K)
    etcd.commit(Transaction((), (Put(keys.order(target), b"rubbish"),)))
    done = cancel_order(etcd, keys, target, Signature("bob", NOON))
    assert (done.changed, isinstance(done.before, Unreadable)) == (True, True)
    assert etcd.get(keys.order(target)) is None


# -- acts ------------------------------------------------------------------------------------------------------------


def test_what_people_did_is_listed_newest_first(scene: Scene) -> None:
    scene("hold", "load", "--reason", "bad file", "--who", "ann")
    scene("release", "load", "--reason", "repaired", "--who", "bob")
    scene("mark", "team_b/mail", K, "failed", "--who", "cid")
    said = scene.json("acts")
    assert [(one["act"], one["pipeline"], one["who"], one["why"]) for one in said["acts"]] == [
        ("mark", "team_b/mail", "cid", ""),
        ("release", "load", "bob", "repaired"),
        ("hold", "load", "ann", "bad file"),
    ]
    assert (said["acts"][0]["what"], said["acts"][0]["partition"], said["acts"][1]["partition"]) == ("failed", K, None)
    of_load = scene.json("acts", "--pipeline", "load", "--limit", 1)
    assert ([one["act"] for one in of_load["acts"]], of_load["more"]) == (["release"], True)
    assert "mark failed" in scene("acts").stdout
    assert "there are no acts on archive yet" in scene("acts", "--pipeline", "archive").stdout


def test_what_changes_nothing_is_no_act(scene: Scene) -> None:
    scene("release", "load")
    for _ in range(2):
        scene("hold", "load", "--reason", "bad file")
    assert [verb for verb, *_ in scene.verbs()] == ["hold"]


@pytest.mark.promise("orders")
def test_an_act_stands_in_the_transaction_that_does_it(etcd: EtcdStore, keys: Keys) -> None:
    """The revisions are compared for an order and a mark; the acts of a hold and of its release are counted only."""
    pipeline = PipelineRef("default", "a")
    put_hold(etcd, keys, pipeline, Hold("why", "ann", NOON))
    delete_hold(etcd, keys, pipeline, Signature("bob", NOON + timedelta(seconds=1)))
    put_order(etcd, keys, Target(pipeline, K), GivenOrder(Order.RERUN, "cid", NOON + timedelta(seconds=2)))
    mark(etcd, keys, Target(pipeline, K), State.SUCCESS, Signature("dan", NOON + timedelta(seconds=3)), looked_at=0)
    acts = {one.key: one.mod_revision for one in etcd.list(keys.act("")).items}
    assert len(acts) == 4
    done_at = [kv.mod_revision for key in (keys.order, keys.state) if (kv := etcd.get(key(Target(pipeline, K))))]
    assert sorted(acts.values())[2:] == done_at


def test_an_act_that_cannot_be_read_is_shown_as_such(scene: Scene) -> None:
    scene.etcd.commit(Transaction((), (Put(scene.keys.act("2026"), b"rubbish"),)))
    assert "cannot be read" in scene("acts").stdout
    assert "problem" in scene.json("acts")["acts"][0]


def test_two_acts_of_one_moment_are_two(keys: Keys) -> None:
    act = Act(Verb.RERUN, PipelineRef("default", "a/b"), "2026/11", Signature("ann", NOON, "why"))
    one, other = put_of(keys, act), put_of(keys, act)
    assert one.key != other.key
    assert read_act(one.value) == act
