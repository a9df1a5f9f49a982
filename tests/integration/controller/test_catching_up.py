"""A watcher that comes back after hours, with a dependencies.json that was changed meanwhile."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from coordinator.cli.failures import ExitCode
from coordinator.commands.report import write_report
from coordinator.model.runstate import RunStateDocument, State
from tests.command_line import Cli
from tests.integration.controller.worlds import ServedWorld
from tests.worlds.world import target

PARTITIONS = ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")
OLDER, NEWER = PARTITIONS


def test_what_the_preview_says_by_the_changed_file_is_what_the_watcher_does(served: ServedWorld, cli: Cli) -> None:
    """By what was published before, all would be started: the file is published before anything is decided."""
    served.dependencies({"A": "R", "B": "R", "C": "R", "D": "B"})
    watcher = served.serve()
    watcher.terminate()
    assert watcher.wait() == 0
    hours_ago = datetime.now(UTC) - timedelta(hours=3)
    for partition in PARTITIONS:
        document = RunStateDocument(state=State.SUCCESS, observed_at=hours_ago)
        write_report(served.store, served.keys, target("R", partition), document)
    revision = served.store.list(served.keys.root).revision

    published = cli("watch", "--preview", "--json", "-c", served.config())
    assert published.exit_code == ExitCode.OK, published.stderr
    assert _effects(published.stdout) == {
        (name, partition): ("start", "create") for name in "ABC" for partition in PARTITIONS
    }
    served.dependencies(
        {
            "A": {"upstream": "R", "catchup": "none"},
            "B": {"upstream": "R", "catchup": "latest"},
            "C": {"upstream": "R"},
            "D": "B",
        }
    )
    changed = cli("watch", "--preview", "--json", "-c", served.config(), "-d", served.file)
    assert changed.exit_code == ExitCode.OK, changed.stderr
    assert _effects(changed.stdout) == {
        ("A", OLDER): ("skip", None),
        ("A", NEWER): ("skip", None),
        ("B", OLDER): ("skip", None),
        ("B", NEWER): ("start", "create"),
        ("C", OLDER): ("start", "create"),
        ("C", NEWER): ("start", "create"),
    }
    assert json.loads(changed.stdout)["follow"] == 1
    table = cli("watch", "--preview", "-c", served.config(), "-d", served.file).stdout
    assert "3 would start at once; 3 would be given up" in table
    assert "1 more would start if these, and what runs now, succeed" in table
    assert served.store.list(served.keys.root).revision == revision, "nothing was written, nobody campaigned"

    served.serve()
    served.settle()
    assert {name: [served.runs(name, partition=one) for one in PARTITIONS] for name in "ABCD"} == {
        "A": [0, 0],
        "B": [0, 1],
        "C": [1, 1],
        "D": [0, 1],
    }


def test_a_preview_by_a_file_that_would_be_refused_says_why(served: ServedWorld, cli: Cli) -> None:
    served.file.write_text('{"A": "R", "R": "A"}')
    result = cli("watch", "--preview", "-c", served.config(), "-d", served.file)
    assert result.exit_code == ExitCode.PROBLEM
    assert "cycle" in result.stdout
    assert (
        json.loads(cli("watch", "--preview", "--json", "-c", served.config(), "-d", served.file).stdout)["ok"] is False
    )


def _effects(output: str) -> dict[tuple[str, str], tuple[str, str | None]]:
    foreseen = json.loads(output)["foreseen"]
    return {(one["pipeline"], one["partition"]): (one["effect"], one["action"]) for one in foreseen}
