"""``coordinator hold`` and ``release``: what they did is said, and doing it again is right."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.commands.acts import Signature
from coordinator.commands.hold import delete_hold, put_hold
from coordinator.commands.report import write_report
from coordinator.model.documents import parse_document
from coordinator.model.hold import Hold, dump_hold, read_hold
from coordinator.model.publishing.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State, Unreadable
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Committed, Put, Transaction
from tests.command_line import Cli

PIPELINE = PipelineRef("team_b", "load")
THEN = datetime(2026, 11, 22, tzinfo=UTC)


def held(etcd: EtcdStore, keys: Keys) -> Hold | Unreadable | None:
    present = etcd.get(keys.hold(PIPELINE))
    return None if present is None else read_hold(present.value)


def test_a_pipeline_is_held_with_its_reason_and_released(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    result = cli("hold", "team_b/load", "--new-pipeline", "--reason", "bad file", "--who", "ann", "-c", config)
    assert result.exit_code == ExitCode.OK, result.stderr
    assert "team_b/load: held: 'bad file' by ann since " in result.stdout
    present = etcd.get(keys.hold(PIPELINE))
    assert present is not None
    assert set(json.loads(present.value)) == {"why", "who", "since"}
    hold = held(etcd, keys)
    assert isinstance(hold, Hold)
    assert (hold.why, hold.who) == ("bad file", "ann")
    assert hold.since is not None

    result = cli("release", "team_b/load", "-c", config)
    assert result.exit_code == ExitCode.OK
    assert "team_b/load: released; was held: 'bad file' by ann since " in result.stdout
    assert held(etcd, keys) is None


def test_holding_again_with_the_same_reason_changes_nothing(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    cli("hold", "team_b/load", "--new-pipeline", "-r", "bad file", "-c", config)
    first = etcd.get(keys.hold(PIPELINE))
    result = cli("hold", "team_b/load", "--new-pipeline", "-r", "bad file", "-c", config)
    assert result.exit_code == ExitCode.OK
    assert "was held already: 'bad file'" in result.stdout
    assert etcd.get(keys.hold(PIPELINE)) == first


def test_another_reason_replaces_the_first_and_keeps_the_time(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    cli("hold", "team_b/load", "--new-pipeline", "-r", "bad file", "--who", "ann", "-c", config)
    first = held(etcd, keys)
    result = cli("hold", "team_b/load", "--new-pipeline", "-r", "still bad", "--who", "bob", "-c", config)
    assert "was held: 'bad file' by ann" in result.stdout
    assert "now: 'still bad' by bob" in result.stdout
    second = held(etcd, keys)
    assert isinstance(first, Hold)
    assert second == Hold("still bad", "bob", first.since)


def test_releasing_what_is_not_held_changes_nothing(cli: Cli, config: Path) -> None:
    for _ in range(2):
        result = cli("release", "team_b/load", "--new-pipeline", "-c", config)
        assert result.exit_code == ExitCode.OK
        assert "team_b/load: was not held" in result.stdout


def test_a_hold_that_cannot_be_read_is_released_all_the_same(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    etcd.commit(Transaction((), (Put(keys.hold(PIPELINE), b"because"),)))
    result = cli("release", "team_b/load", "-c", config, "--json")
    assert result.exit_code == ExitCode.OK
    assert json.loads(result.stdout) == {
        "pipeline": "team_b/load",
        "changed": True,
        "before": {"held": True, "why": None, "who": None, "since": None},
        "runs": [],
    }
    assert held(etcd, keys) is None


def test_json_says_what_stands_there_now(cli: Cli, config: Path) -> None:
    said = json.loads(cli("hold", "x", "--new-pipeline", "-r", "why", "--who", "ann", "-c", config, "--json").stdout)
    assert (said["pipeline"], said["changed"], said["held"], said["why"], said["who"]) == (
        "x",
        True,
        True,
        "why",
        "ann",
    )
    again = json.loads(cli("hold", "x", "--new-pipeline", "-r", "why", "--who", "ann", "-c", config, "--json").stdout)
    assert again == {**said, "changed": False}


def test_a_wrong_reference_is_a_wrong_command_line(cli: Cli, config: Path) -> None:
    result = cli("hold", "team_b/", "-r", "why", "-c", config)
    assert result.exit_code == ExitCode.USAGE
    assert "not a pipeline reference" in result.stderr
    assert cli("hold", "x", "-c", config).exit_code == ExitCode.USAGE


def test_an_etcd_that_is_away_is_said_in_one_message(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "away.toml"
    config.write_text('[etcd]\nendpoints = ["127.0.0.1:1"]\ntimeout = 0.5\n')
    result = cli("hold", "x", "--new-pipeline", "-r", "why", "-c", config)
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "127.0.0.1:1" in result.stderr
    assert "Traceback" not in result.stderr


class Interrupted:
    """A store in which somebody else holds the same pipeline in the moment before our first write."""

    def __init__(self, store: EtcdStore, key: str, theirs: Hold | None) -> None:
        self._store = store
        self._key = key
        self._theirs = theirs

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def commit(self, transaction: Transaction) -> Committed:
        theirs, self._theirs = self._theirs, None
        if theirs is not None:
            self._store.commit(Transaction((), (Put(self._key, dump_hold(theirs)),)))
        return self._store.commit(transaction)


@pytest.mark.parametrize("there_before", [False, True])
def test_two_people_at_once_do_not_overwrite_each_other_unseen(etcd: EtcdStore, keys: Keys, there_before: bool) -> None:
    if there_before:
        put_hold(etcd, keys, PIPELINE, Hold("zeroth", "zoe", datetime(2026, 1, 1, tzinfo=UTC)))
    theirs = Hold("theirs", "ann", datetime(2026, 11, 20, tzinfo=UTC))
    store = Interrupted(etcd, keys.hold(PIPELINE), theirs)
    change = put_hold(store, keys, PIPELINE, Hold("mine", "bob", datetime(2026, 11, 21, tzinfo=UTC)))  # type: ignore[arg-type]
    assert change.before == theirs
    assert change.after == held(etcd, keys) == Hold("mine", "bob", theirs.since)


def test_a_release_names_the_hold_that_it_really_removed(etcd: EtcdStore, keys: Keys) -> None:
    put_hold(etcd, keys, PIPELINE, Hold("first", "ann"))
    store = Interrupted(etcd, keys.hold(PIPELINE), Hold("second", "bob"))
    assert delete_hold(store, keys, PIPELINE, Signature("zoe", THEN)).before == Hold("second", "bob")  # type: ignore[arg-type]
    assert held(etcd, keys) is None


def test_a_name_that_nobody_has_ever_named_is_not_held_unless_it_is_said_to_be_new(
    cli: Cli, config: Path, etcd: EtcdStore, keys: Keys
) -> None:
    """It may be one that is to come; or a slip of the pen, which holds nothing."""
    refused = "team_b/load: no published document names it, and no run of it has been reported"
    result = cli("hold", "team_b/load", "-r", "bad file", "-c", config)
    assert result.exit_code == ExitCode.PROBLEM
    assert refused in result.stderr
    assert "--new-pipeline" in result.stderr
    assert held(etcd, keys) is None
    assert cli("hold", "team_b/load", "-r", "bad file", "--new-pipeline", "-c", config).exit_code == ExitCode.OK
    assert isinstance(held(etcd, keys), Hold)
    assert cli("release", "team_b/load", "-c", config).exit_code == ExitCode.OK, "a hold that is there can be released"
    write_report(etcd, keys, Target(PIPELINE, "k"), RunStateDocument(state=State.SUCCESS))
    assert cli("hold", "team_b/load", "-r", "bad file", "-c", config).exit_code == ExitCode.OK
    document = parse_document('{"report": "team_b/mail"}', source="test")
    etcd.commit(Transaction((), (Put(keys.dependencies("default"), dump_publication(Publication(document, {}))),)))
    for name, known in (("report", True), ("team_b/mail", True), ("mail", False)):
        assert (cli("hold", name, "-r", "bad file", "-c", config).exit_code == ExitCode.OK) is known, name


def test_a_hold_without_a_reason_is_refused(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    for arguments in ((), ("-r", ""), ("-r", "  ")):
        assert cli("hold", "team_b/load", *arguments, "-c", config).exit_code == ExitCode.USAGE
    assert held(etcd, keys) is None
