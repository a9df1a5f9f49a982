"""A running watcher and its dependencies.json: what cannot be used changes nothing and is said; the rest is obeyed."""

from __future__ import annotations

import pytest

from tests.integration.controller.waiting import until
from tests.integration.controller.worlds import ServedWorld

GOOD = {"A": "R", "B": "A"}
BAD: dict[str, bytes] = {
    "a cycle": b'{"A": ["R", "B"], "B": "A"}',
    "a duplicate": b'{"A": "R", "A": "B"}',
    "a wrong type": b'{"A": 17}',
    "a trailing comma": b'{"A": "R",}',
    "an unknown environment": b'{"A": "team_c/R"}',
    "nothing": b"",
    "a word that is none": b'{"A": {"upstream": "R", "rerun": "twice"}}',
    "no text": b"\xff\xfe",
}


@pytest.mark.promise("not-for-the-past", "bad-file")
def test_a_file_that_cannot_be_used_leaves_the_last_good_version_in_force_and_is_said(served: ServedWorld) -> None:
    """At its end a dependency is added, which does not fire for the past."""
    served.dependencies(GOOD)
    watcher = served.serve()
    published = _published(served)
    for wave, (what, text) in enumerate(BAD.items(), start=1):
        served.file.write_bytes(text)
        until(lambda said=wave: len(watcher.events("dependencies.refused")) == said, f"{what}: it is said")
        reason = str(watcher.events("dependencies.refused")[-1]["reason"])
        assert str(served.file) in reason
        until(lambda said=reason: watcher.problems() == {"dependencies file": said}, f"{what}: it is shown")
        assert (watcher.is_ready(), watcher.metrics().value("problems", kind="watcher")) == (True, 1), what
        served.complete("R", wave=wave)
        served.until_done("A", "B", runs=wave)
    served.file.unlink()
    until(lambda: len(watcher.events("dependencies.refused")) == len(BAD) + 1, "a missing file is said")
    assert _published(served) == published
    served.dependencies({**GOOD, "C": "B"})
    until(lambda: not watcher.problems(), "the file is corrected")
    until(lambda: _published(served) > published, "and published")
    served.settle()
    assert served.runs("C") == 0, "a new dependency does not fire for the past"
    waves = len(BAD) + 1
    served.complete("R", wave=waves)
    served.until_done("A", "B", runs=waves)
    served.until_done("C", runs=1)
    served.settle()
    assert served.counts("A", "B", "C") == {"A": waves, "B": waves, "C": 1}


@pytest.mark.promise("bad-file")
def test_a_watcher_that_starts_with_a_bad_file_goes_on_with_what_is_published(served: ServedWorld) -> None:
    served.dependencies(GOOD)
    served.serve().kill()
    served.file.write_bytes(BAD["a trailing comma"])
    watcher = served.serve()
    until(lambda: watcher.problems().keys() == {"dependencies file"}, "it is said")
    served.complete("R")
    served.until_done("A", "B", runs=1)


def test_a_dependency_that_was_removed_fires_no_more(served: ServedWorld) -> None:
    served.dependencies({**GOOD, "C": "R"})
    watcher = served.serve()
    served.complete("R")
    served.until_done("A", "B", "C", runs=1)
    served.dependencies(GOOD)
    until(lambda: len(watcher.events("dependencies.published")) == 2, "it is published")
    served.complete("R", wave=2)
    served.until_done("A", "B", runs=2)
    served.settle()
    assert served.counts("A", "B", "C") == {"A": 2, "B": 2, "C": 1}


def _published(world: ServedWorld) -> int:
    found = world.store.get(world.keys.dependencies("default"))
    assert found is not None
    return found.mod_revision
