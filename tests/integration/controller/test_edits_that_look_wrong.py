"""The guard of a watcher with a file: what looks like a mistake is refused, and what gets through loses no work."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator.model.publishing.publication import Publication, read_publication
from coordinator.store.presence import read_presence
from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld

NEXT = "2026-11-21T00:00:00Z"


def edit(world: ServedWorld, document: dict[str, Any]) -> None:
    """Without a DAG for each name in it."""
    world.file.write_text(json.dumps(document))


def in_force(world: ServedWorld) -> Publication:
    found = world.store.get(world.keys.dependencies("default"))
    assert found is not None
    read = read_publication(found.value, source="test")
    assert isinstance(read, Publication)
    return read


def problem(service: Service, name: str) -> str:
    return str(service.problems().get(name, ""))


def unknown(world: ServedWorld) -> str:
    """What the watchers have asked and not been answered yet, as status reads it."""
    presences = [read_presence(item.value) for page in world.store.pages(world.keys.watchers) for item in page.items]
    return "; ".join(text for presence in presences for text in (presence.unknown or {}).values())


@pytest.mark.promise("bad-file")
def test_a_wrong_name_is_refused_and_nothing_is_lost(served: ServedWorld) -> None:
    served.dependencies({"D": "extract_orders"})
    watcher = served.serve()
    edit(served, {"D": "extract_order"})
    until(lambda: "extract_order stands where extract_orders stood" in problem(watcher, "dependencies file"), "refused")
    said = problem(watcher, "dependencies file")
    assert f"coordinator apply {served.file} --owner default --accept" in said
    assert '"accept": 1 in the file' in said
    assert in_force(served).version == 1
    served.complete("extract_orders")
    served.until_done("D", runs=1)
    edit(served, {"D": "extract_orders"})
    until(lambda: not watcher.problems(), "the file is corrected")
    assert in_force(served).version == 1


def test_a_dag_that_is_deployed_after_all_is_published(served: ServedWorld) -> None:
    served.dependencies({"D": "orders"})
    watcher = served.serve()
    edit(served, {"D": "orders_v2"})
    until(lambda: "stands where orders stood" in problem(watcher, "dependencies file"), "refused")
    served._declare("orders_v2")
    until(lambda: in_force(served).version == 2, "deployed, and published without anybody's doing", limit=40)
    until(lambda: not watcher.problems(), "nothing is said any more", limit=40)


@pytest.mark.promise("bad-file")
def test_a_wrong_name_that_was_accepted_for_a_while_loses_nothing(served: ServedWorld) -> None:
    served.dependencies({"D": "A", "E": "D"})
    watcher = served.serve()
    served.complete("A")
    served.until_done("D", "E", runs=1)
    edit(served, {"D": "AA", "E": "D", "accept": 1})
    until(lambda: in_force(served).version == 2, "accepted")
    until(lambda: "no such DAGs: AA" in problem(watcher, "unknown DAGs"), "and a problem as long as it lasts")
    served.complete("A", partition=NEXT)
    served.settle()
    assert served.counts("D", partition=NEXT) == {"D": 0}
    edit(served, {"D": "A", "E": "D"})
    served.until_done("D", "E", partition=NEXT, runs=1)
    until(lambda: not watcher.problems(), "all is well", limit=40)
    (_, _, repaired) = watcher.events("dependencies.published")
    assert (repaired["dependencies_resumed"], repaired["may_start"]) == (1, 1)
    served.settle()
    assert served.counts("D", "E") == {"D": 1, "E": 1}


def test_an_environment_that_cannot_be_asked_keeps_nothing_from_being_published(served: ServedWorld) -> None:
    served.dependencies({"D": "team_b/A"})
    watcher = served.serve()
    served.down("team_b")
    edit(served, {"D": "team_b/AA"})
    until(lambda: in_force(served).version == 2, "published", limit=40)
    until(lambda: "team_b could not be asked" in unknown(served), "and it is said that nobody knows", limit=40)
    assert problem(watcher, "unknown DAGs") == "", "an Airflow that is started again needs nobody"
    served.up("team_b")
    until(lambda: "no such DAGs: team_b/AA" in problem(watcher, "unknown DAGs"), "now it is known", limit=60)


def test_most_of_a_file_gone_is_refused(served: ServedWorld) -> None:
    whole = {f"D{number}": "A" for number in range(8)}
    served.dependencies(whole)
    watcher = served.serve()
    edit(served, {"D0": "A"})
    until(lambda: "7 of 8 dependencies would be removed" in problem(watcher, "dependencies file"), "refused")
    served.complete("A")
    served.until_done(*whole, runs=1)
    edit(served, {"D0": "A", "accept": 1})
    until(lambda: in_force(served).version == 2, "meant after all")
    until(lambda: not watcher.problems(), "nothing is said any more")


@pytest.mark.promise("bad-file")
def test_an_entry_that_is_taken_out_in_mid_wave_and_put_back_loses_nothing(served: ServedWorld) -> None:
    whole = {"B": "A", "D": ["A", "B"], "E": "D"}
    served.by_hand("B")
    served.dependencies(whole)
    watcher = served.serve()
    served.complete("A")
    until(lambda: served.requests("B") == 1, "B is on its way; D waits for it")
    edit(served, {"B": "A", "E": "D"})
    until(lambda: in_force(served).version == 2, "D is taken out")
    until(lambda: bool(watcher.events("dependencies.taken_away")), "it is said")
    (taken,) = watcher.events("dependencies.taken_away")
    assert taken["waiting"] == ["D <- A: 2026-11-20T00:00:00Z"]
    ((_, dependency), retired) = next(iter(in_force(served).retired.items()))
    assert (dependency, retired.partitions) == ("A", ("2026-11-20T00:00:00Z",))
    served.run("B")
    served.settle()
    assert served.counts("D", "E") == {"D": 0, "E": 0}
    edit(served, whole)
    served.until_done("D", "E", runs=1)
    served.settle()
    assert served.counts("B", "D", "E") == {"B": 1, "D": 1, "E": 1}
