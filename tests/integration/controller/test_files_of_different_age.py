"""Two watchers with files of different age: whoever leads, an edit loses nothing, and an old file puts nothing back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.model.publishing.publication import Publication, read_publication
from tests.command_line import Cli
from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld
from tests.worlds.real import _names_in

OLD = {"D": "A"}
NEW = {"D": "A", "E": "A"}


def written(world: ServedWorld, name: str, document: dict[str, Any]) -> Path:
    for pipeline in _names_in(document):
        world._declare(pipeline)
    file = world.directory / name
    file.write_text(json.dumps(document))
    return file


def launch(world: ServedWorld, file: Path, *, leads: bool) -> Service:
    service = world.launch("--dependencies", str(file))
    until(lambda: service.is_ready() and service.leads() is leads, f"{file} leads: {leads}", limit=30)
    return service


def in_force(world: ServedWorld) -> Publication:
    found = world.store.get(world.keys.dependencies("default"))
    assert found is not None
    read = read_publication(found.value, source="test")
    assert isinstance(read, Publication)
    return read


def names(world: ServedWorld) -> list[str]:
    return sorted(map(str, in_force(world).document))


def problems(service: Service) -> dict[str, str]:
    found = service.problems()
    assert isinstance(found, dict)
    return found


@pytest.mark.promise("bad-file")
def test_the_lead_goes_to_an_old_file_and_back_and_what_completes_in_between_is_not_lost(
    served: ServedWorld, cli: Cli
) -> None:
    old, new = written(served, "old.json", OLD), written(served, "new.json", NEW)
    first = launch(served, old, leads=True)
    second = launch(served, new, leads=False)
    first.terminate()
    until(lambda: names(served) == ["D", "E"], "the new file, which nobody saw change and which is new, is published")
    third = launch(served, old, leads=False)
    until(lambda: "dependencies file" in problems(third), "the old file is shown as older, on a standby too")
    second.kill()
    until(third.leads, "the old file leads", limit=30)
    served.complete("A")
    served.until_done("D", "E", runs=1)
    assert "older than what is in force" in problems(third)["dependencies file"]
    assert f"coordinator apply {old} --owner default" in problems(third)["dependencies file"]

    def status() -> str:
        return " ".join(cli("status", "-c", served.config()).stdout.split())

    until(lambda: "older than what is in force" in status(), "and so does status")
    doctor = cli("doctor", "-c", served.config(), "--dependencies", old)
    assert "older than what is in force" in " ".join(doctor.stdout.split())
    launch(served, new, leads=False)
    until(lambda: "watchers have different files for the document of default" in status(), "it says who differs")
    third.terminate()
    third.wait()
    until(lambda: (leader := served.leader()) is not None and leader is not third, "the new one leads", limit=30)
    served.settle()
    assert served.counts("D", "E") == {"D": 1, "E": 1}
    assert in_force(served).version == 2, "published once each"


@pytest.mark.promise("bad-file")
def test_an_edit_that_a_standby_saw_is_published_when_it_leads_also_one_that_takes_something_back(
    served: ServedWorld,
) -> None:
    one, two = written(served, "one.json", OLD), written(served, "two.json", OLD)
    leader = launch(served, one, leads=True)
    standby = launch(served, two, leads=False)
    written(served, "one.json", NEW)
    until(lambda: names(served) == ["D", "E"], "the leader's edit is published")
    until(lambda: "dependencies file" in problems(standby), "the other file is older now")
    written(served, "two.json", NEW)
    until(lambda: not problems(standby), "both say the same")
    written(served, "two.json", OLD)
    until(lambda: len(standby.events("dependencies.read")) == 3, "the standby has seen the edit")
    assert names(served) == ["D", "E"], "and publishes nothing"
    leader.terminate()
    until(lambda: names(served) == ["D"], "it takes E back when it leads", limit=30)
    assert in_force(served).version == 3


@pytest.mark.promise("bad-file")
def test_a_greater_serial_is_published_whatever_it_says_and_no_other(served: ServedWorld) -> None:
    """The right thing for rollouts by new containers, where no watcher sees its file change."""
    launch(served, written(served, "d.json", {**NEW, "serial": 7}), leads=True).terminate()
    older = launch(served, written(served, "d.json", {**OLD, "serial": 6}), leads=True)
    until(lambda: "its serial is 6" in problems(older).get("dependencies file", ""), "the serial is smaller")
    written(served, "d.json", {**OLD, "serial": 7})
    until(lambda: "its serial 7 is that of version 1" in problems(older)["dependencies file"], "it was used already")
    assert names(served) == ["D", "E"]
    older.terminate()
    launch(served, written(served, "d.json", {**OLD, "serial": 8}), leads=True).terminate()
    assert (names(served), in_force(served).serial) == (["D"], 8)
    launch(served, written(served, "d.json", {**NEW, "serial": 9}), leads=True)
    assert names(served) == ["D", "E"], "going back is a greater number, too"
