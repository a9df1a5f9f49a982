"""``coordinator status`` on a real etcd."""

from __future__ import annotations

import json
from pathlib import Path

from coordinator.cli.failures import ExitCode
from coordinator.model.parsing import parse_document
from coordinator.model.publication import Publication, dump_publication
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.reporting import write_report
from coordinator.store.connection import EtcdStore
from coordinator.store.keys import Keys
from coordinator.store.port import Put, Transaction
from tests.command_line import Cli


def test_a_late_partition_is_shown_although_it_is_settled(cli: Cli, config: Path, etcd: EtcdStore, keys: Keys) -> None:
    """It only waits: nothing of it stands in etcd, and nothing has failed."""
    document = parse_document(
        json.dumps(
            {
                "late": {"upstream": ["a", "b"], "deadline": "06:00"},
                "later": {"upstream": ["a", "b"], "deadline": {"at": "06:00", "days": 1}},
                "never": {"upstream": ["a", "b"]},
            }
        ),
        source="test",
    )
    past, future = "2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"
    etcd.commit(Transaction((), (Put(keys.dependencies("default"), dump_publication(Publication(document, {}))),)))
    for partition in (past, future):
        write_report(etcd, keys, Target(PipelineRef("default", "a"), partition), RunStateDocument(state=State.SUCCESS))
    result = cli("status", "-c", config, "--json")
    assert result.exit_code == ExitCode.PROBLEM, "no watcher leads"
    rows = {(row["pipeline"], row["partition"]): row for row in json.loads(result.stdout)["pipelines"]}
    assert set(rows) == {("late", past), ("later", past)}
    assert rows["late", past]["late_since"] == "2001-01-01T06:00:00Z"
    assert rows["late", past]["standing"] == "settled"
    assert "late_since" in cli("status", "-c", config).stdout
