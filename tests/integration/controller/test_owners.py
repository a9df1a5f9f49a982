"""Watchers and ``coordinator apply`` together: several owners, one graph, one rule about who may say what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.model.publishing.publication import Publication, read_publication
from coordinator.store.port import Delete, Transaction
from tests.command_line import Cli
from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld
from tests.worlds.real import _names_in


def apply(cli: Cli, world: ServedWorld, document: dict[str, Any], *, owner: str) -> None:
    for name in _names_in(document):
        world._declare(name)
    file = written(world, document)
    result = cli("apply", file, "--owner", owner, "--yes", "--offline", "-c", world.config(), "--who", "ann")
    assert result.exit_code == 0, result.stdout + result.stderr


def written(world: ServedWorld, document: dict[str, Any]) -> Path:
    file = world.directory / "applied.json"
    file.write_text(json.dumps(document))
    return file


def without_file(world: ServedWorld) -> Service:
    service = Service(world.config(), log=world.directory / "watcher-without-file.log")
    world.services.append(service)
    until(lambda: service.is_ready() and service.leads(), "the watcher leads", limit=30)
    return service


def publication(world: ServedWorld, owner: str) -> Publication | None:
    item = world.store.get(world.keys.dependencies(owner))
    read = read_publication(item.value, source=owner) if item is not None else None
    assert read is None or isinstance(read, Publication)
    return read


def names(read: Publication | None) -> list[str]:
    return sorted(map(str, read.document)) if read is not None else []


@pytest.mark.promise("not-for-the-past")
def test_a_watcher_without_a_file_obeys_what_is_applied_and_a_new_dependency_is_not_for_the_past(
    served: ServedWorld, cli: Cli
) -> None:
    watcher = without_file(served)
    apply(cli, served, {"A": "R"}, owner="default")
    served.complete("R")
    served.until_done("A", runs=1)
    apply(cli, served, {"A": "R", "B": "R"}, owner="default")
    apply(cli, served, {"team_b/y": "A"}, owner="team_b")
    until(lambda: len(watcher.events("dependencies.loaded")) >= 4, "both are obeyed")
    served.settle()
    assert served.counts("A", "B", "team_b/y") == {"A": 1, "B": 0, "team_b/y": 0}
    served.complete("R", wave=2)
    served.until_done("A", runs=2)
    served.until_done("B", "team_b/y", runs=1)
    served.settle()
    assert served.counts("A", "B", "team_b/y") == {"A": 2, "B": 1, "team_b/y": 1}


def test_a_dag_that_does_not_exist_is_a_problem_until_it_is_there_whoever_published_its_name(
    served: ServedWorld, cli: Cli
) -> None:
    watcher = without_file(served)
    served._declare("A")
    file = written(served, {"A": "nowhere"})
    assert cli("apply", file, "--yes", "--offline", "-c", served.config()).exit_code == 0
    until(lambda: "no such DAGs: nowhere" in watcher.problems().get("unknown DAGs", ""), "it is said")
    served._declare("nowhere")
    until(lambda: not watcher.problems(), "it is there", limit=40)


@pytest.mark.promise("not-for-the-past")
def test_what_completed_while_no_watcher_ran_fires_though_the_document_was_applied_again(
    served: ServedWorld, cli: Cli
) -> None:
    apply(cli, served, {"D": ["A", "B"]}, owner="default")
    served.complete("A")
    served.complete("B")
    apply(cli, served, {"D": ["A", "B"]}, owner="default")
    apply(cli, served, {"D": ["A", "B"], "E": "D"}, owner="default")
    without_file(served)
    served.until_done("D", "E", runs=1)
    served.settle()
    assert served.counts("D", "E") == {"D": 1, "E": 1}


def test_a_watcher_publishes_its_file_under_its_owner_beside_what_others_applied(served: ServedWorld, cli: Cli) -> None:
    apply(cli, served, {"A": "R"}, owner="default")
    served.dependencies({"team_b/y": "A"})
    watcher = served.serve("--owner", "team_b")
    until(lambda: names(publication(served, "team_b")) == ["team_b/y"], "the file is published")
    read = publication(served, "team_b")
    assert read is not None
    assert (read.published_by, read.why) == (watcher.watcher_id, f"file {served.file}")
    until(lambda: bool(watcher.events("dependencies.published")), "it is said")
    (event,) = watcher.events("dependencies.published")
    assert (event["owner"], event["begin"], event["dependencies_added"]) == ("team_b", 1, 1)
    assert names(publication(served, "default")) == ["A"]
    served.complete("R")
    served.until_done("A", "team_b/y", runs=1)


def test_a_file_that_declares_for_another_owner_is_refused_in_the_words_of_plan_until_that_has_changed(
    served: ServedWorld, cli: Cli
) -> None:
    served.dependencies({"A": "R"})
    watcher = served.serve()
    apply(cli, served, {"team_b/y": "A"}, owner="team_b")
    served.dependencies({"A": "R", "B": "A", "team_b/z": "A"})
    until(lambda: bool(watcher.events("dependencies.refused")), "the file is refused")
    plan = cli("plan", served.file, "--offline", "-c", served.config())
    reason = str(watcher.events("dependencies.refused")[-1]["reason"])
    assert "the document of default may not say what team_b/z waits for: team_b has a document of its own" in reason
    assert reason in plan.stdout
    until(lambda: watcher.problems() == {"dependencies file": reason}, "it is shown")
    assert names(publication(served, "default")) == ["A"]
    served.complete("R")
    served.until_done("A", "team_b/y", runs=1)
    served.store.commit(Transaction((), (Delete(served.keys.dependencies("team_b")),)))
    until(lambda: names(publication(served, "default")) == ["A", "B", "team_b/z"], "nothing is against it any more")
    until(lambda: not watcher.problems(), "and nothing is said any more")


def test_documents_that_were_put_past_all_checks_leave_the_last_good_ones_in_force(served: ServedWorld) -> None:
    served.dependencies({"A": "R", "team_b/z": "A"})
    watcher = served.serve()
    served.put(served.keys.dependencies("team_b"), b'{"dependencies": {"B": "A"}}')
    until(lambda: watcher.metrics().value("problems", kind="watcher") == 1, "it is counted")
    problem = "; ".join(watcher.problems().values())
    assert "the document of team_b may not say what B waits for: default has a document of its own" in problem
    assert "the document of default may not say what team_b/z waits for: team_b has a document of its own" in problem
    served.complete("R")
    served.until_done("A", "team_b/z", runs=1)
    assert served.runs("B") == 0


def test_what_is_applied_stays_in_force_beside_a_watcher_with_a_file_until_that_is_edited(
    served: ServedWorld, cli: Cli
) -> None:
    served.dependencies({"A": "R"})
    watcher = served.serve()
    file = written(served, {"B": "R"})
    plan = cli("plan", file, "--offline", "-c", served.config())
    assert f"the watcher {watcher.watcher_id} publishes a file as the document of default" in plan.stdout
    assert "this stays in force until that file is edited" in plan.stdout
    apply(cli, served, {"B": "R"}, owner="default")
    until(lambda: "dependencies file" in watcher.problems(), "the file is older, and that is said")
    problem = watcher.problems()["dependencies file"]
    assert "older than what is in force" in problem
    assert f"coordinator apply {served.file} --owner default" in problem
    assert names(publication(served, "default")) == ["B"]
    served.dependencies({"A": "R", "B": "R"})
    until(lambda: names(publication(served, "default")) == ["A", "B"], "an edit is published")
    until(lambda: not watcher.problems(), "nothing is said any more")
    served.dependencies({"A": "R"})
    until(lambda: names(publication(served, "default")) == ["A"], "also one that takes something back")
