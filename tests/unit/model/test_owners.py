"""Who may declare what, and cycles that no single document shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coordinator.model.dependencies import Document
from coordinator.model.documents import parse_document, places_of_entries
from coordinator.model.graph import CycleFound
from coordinator.model.publishing.cycles import cycles_through
from coordinator.model.publishing.owners import merge, misplaced, objections_to
from coordinator.model.publishing.publication import Publication, Published
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import Unreadable


def document(content: dict[str, Any]) -> Document:
    return parse_document(json.dumps(content), source="test")


def published(**documents: dict[str, Any]) -> dict[str, Published]:
    return {
        owner: Published(Publication(document(content), {}), revision)
        for revision, (owner, content) in enumerate(documents.items(), start=10)
    }


def reasons(owner: str, content: dict[str, Any], beside: dict[str, Published]) -> list[str]:
    return [objection.reason for objection in objections_to(owner, document(content), beside)]


def test_an_owner_declares_its_own_pipelines_and_waits_for_anybodys() -> None:
    assert reasons("team_b", {"team_b/x": ["A", "team_c/y", "team_b/w"]}, {}) == []
    assert reasons("team_b", {"A": "team_b/x"}, {}) == [
        "the document of team_b may not say what A waits for: it belongs to default"
    ]
    (objection,) = objections_to("team_b", document({"team_c/y": "team_b/x"}), {})
    assert objection.pipeline == PipelineRef("team_c", "y")
    assert objection.remedy == "move it there, and publish that with --owner team_c"


def test_the_central_document_declares_for_everybody_who_has_no_document_of_its_own() -> None:
    content = {"A": "R", "team_b/x": "A", "team_c/y": "A"}
    assert reasons("default", content, {}) == []
    assert reasons("default", content, published(default={"A": "R"})) == []
    assert reasons("default", content, published(team_b={})) == [
        "the document of default may not say what team_b/x waits for: team_b has a document of its own"
    ]


def test_a_first_document_waits_until_the_central_one_has_let_go() -> None:
    central = published(default={"A": "R", "team_b/x": "A", "team_b/z": "A"})
    assert reasons("team_b", {"team_b/x": "A"}, central) == [
        "what team_b/x waits for stands in the published document of default",
        "what team_b/z waits for stands in the published document of default",
    ]
    assert reasons("team_b", {"team_b/x": "A"}, published(default={"A": "R"})) == []


def test_a_cycle_across_owners_is_shown_whole_with_whose_document_makes_whom_wait() -> None:
    beside = published(team_a={"team_a/p": "team_c/r"}, team_b={"team_b/q": "team_a/p"})
    (reason,) = reasons("team_c", {"team_c/r": "team_b/q"}, beside)
    assert reason == "closes a cycle: team_c/r -> team_a/p [team_a] -> team_b/q [team_b] -> team_c/r [team_c]"
    assert reasons("team_c", {"team_c/s": "team_b/q"}, beside) == []


def test_a_cycle_among_others_is_not_held_against_a_document_so_that_each_can_be_repaired() -> None:
    tangled = published(
        team_a={"team_a/p": "team_b/q"}, team_b={"team_b/q": "team_a/p"}, team_c={"team_c/r": "team_c/s"}
    )
    assert reasons("team_c", {"team_c/r": ["team_a/p", "team_c/s"]}, tangled) == []
    assert reasons("team_b", {"team_b/q": "team_c/r"}, tangled) == []
    assert len(reasons("team_b", {"team_b/q": ["team_c/r", "team_a/p"]}, tangled)) == 1


def test_a_document_may_replace_one_that_cannot_be_read_and_stand_beside_one() -> None:
    beside = {"team_b": Published(Unreadable("rubbish"), 7), "team_c": Published(Unreadable("rubbish"), 8)}
    assert reasons("team_b", {"team_b/x": "A"}, beside) == []


def test_of_many_cycles_each_is_shown_once() -> None:
    def ref(name: str) -> PipelineRef:
        return PipelineRef("default", name)

    upstreams = {ref(a): [ref(b) for b in of] for a, of in {"a": "bx", "b": "c", "c": "a", "d": "ea", "e": "d"}.items()}
    found = list(cycles_through([ref("a"), ref("b"), ref("d"), ref("x"), ref("nobody")], upstreams))
    assert found == [(ref("a"), ref("c"), ref("b"), ref("a")), (ref("d"), ref("e"), ref("d"))]


def test_what_lies_between_two_cycles_is_on_none() -> None:
    def ref(name: str) -> PipelineRef:
        return PipelineRef("default", name)

    upstreams = {ref(a): [ref(b) for b in of] for a, of in {"a": "b", "b": "a", "m": "a", "c": "dm", "d": "c"}.items()}
    assert list(cycles_through([ref("m")], upstreams)) == []


def test_the_merged_graph_keeps_who_declares_what_and_since_when() -> None:
    graph, problems = merge(published(default={"A": "R"}, team_b={"team_b/x": "A"}))
    assert problems == []
    node = graph.node(PipelineRef("team_b", "x"))
    assert node is not None
    assert list(node.active_since.values()) == [11]


def test_a_document_that_declares_for_another_owner_is_a_problem_of_the_merged_graph() -> None:
    _, problems = merge(published(default={"A": "R", "team_b/x": "A"}, team_b={"team_b/x": "R"}))
    assert problems == [str(one) for one in misplaced("default", document({"team_b/x": "A"}), ["default", "team_b"])]


def test_a_cycle_of_the_merged_graph_is_raised() -> None:
    with pytest.raises(CycleFound):
        merge(published(default={"A": "team_b/x"}, team_b={"team_b/x": "A"}))


def test_an_entry_is_found_in_its_text() -> None:
    text = '\ufeff{"$schema": "x",\n "B": "A", "default/C":\n  "A",\n "team_b/x/y": "A"}'.encode()
    wanted = [PipelineRef("default", "C"), PipelineRef("team_b", "x/y"), PipelineRef("default", "A")]
    assert places_of_entries(text, wanted) == {
        PipelineRef("default", "C"): (2, 12, "default/C"),
        PipelineRef("team_b", "x/y"): (4, 2, "team_b/x/y"),
    }
