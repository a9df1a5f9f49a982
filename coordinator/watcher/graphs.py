"""One graph out of all published dependency documents."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.model.graph import Graph, Node
from coordinator.model.references import PipelineRef
from coordinator.model.runstate import Unreadable
from coordinator.watcher.cache import Published


def merge(published: Mapping[str, Published]) -> tuple[Graph, list[str]]:
    """The graph of all documents, and what is wrong with them.

    A document that cannot be read, or that declares what another owner declared, is a problem; the graph is
    then not to be used.

    :raises CycleFound: the documents together close a cycle.
    """
    nodes: dict[PipelineRef, Node] = {}
    declared_by: dict[PipelineRef, str] = {}
    problems: list[str] = []
    for owner, publication in sorted(published.items()):
        if isinstance(publication.value, Unreadable):
            problems.append(f"dependencies of {owner}: {publication.value.reason}")
            continue
        for node in publication.value.nodes(publication.revision):
            pipeline = node.downstream.pipeline
            if pipeline in nodes:
                problems.append(f"{pipeline} is declared by {declared_by[pipeline]} and by {owner}")
                continue
            nodes[pipeline], declared_by[pipeline] = node, owner
    return Graph(nodes.values()), problems
