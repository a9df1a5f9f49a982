"""What people are told to type does what it says, whatever names are in it."""

from __future__ import annotations

import shlex

import pytest

from coordinator.model.explanation.words import how_to_fill, how_to_release, how_to_report
from coordinator.model.references import PipelineRef, Target
from coordinator.model.shell import command


@pytest.mark.promise("bad-input")
def test_a_name_cannot_add_a_command() -> None:
    target = Target(PipelineRef("default", "x;touch${IFS}PWNED;echo"), "$(id)")
    for text in (how_to_release(target), how_to_release(target, True), how_to_report(target), how_to_fill(target)):
        assert shlex.split(text)[:3][2] == target.pipeline.dag_id
    assert shlex.split(how_to_release(target, True))[3] == target.partition
    assert command("explain", PipelineRef("team_b", "load"), "2026-11-20T00:00:00Z") == (
        "coordinator explain team_b/load 2026-11-20T00:00:00Z"
    )
