"""Owners: which document may declare which pipelines, and the one graph of all documents.

A document is stored under its owner's name (docs/architecture.md#keys). **An owner declares only its own pipelines as
downstream: those of the environment with its name.** The owner ``default`` has the central document: it may also
declare pipelines of environments that have no document of their own, so that one file for everything keeps working.
Upstreams may belong to anybody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from coordinator.model.assets.bridges import circles, in_words
from coordinator.model.conditions import leaves
from coordinator.model.cycles import back_in_time, find_cycles, reason_of
from coordinator.model.dependencies import Document
from coordinator.model.graph import Graph, Node
from coordinator.model.publishing.cycles import cycles_through
from coordinator.model.publishing.publication import Publication, Published
from coordinator.model.references import DEFAULT_ENVIRONMENT, PipelineRef
from coordinator.model.runstate import Unreadable

CENTRAL_OWNER = DEFAULT_ENVIRONMENT
MAX_CYCLES = 20


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a document may not be published or used.

    :ivar pipeline: the downstream whose entry is wrong.
    """

    pipeline: PipelineRef
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


def misplaced(owner: str, document: Document, owners: Collection[str]) -> Iterator[Objection]:
    """The entries that another owner would have to declare.

    :param owners: all owners with a published document.
    """
    for pipeline in document:
        environment = pipeline.environment
        if environment == owner or (owner == CENTRAL_OWNER and environment not in owners):
            continue
        whose = f"{environment} has a document of its own" if environment in owners else f"it belongs to {environment}"
        reason = f"the document of {owner} may not say what {pipeline} waits for: {whose}"
        yield Objection(pipeline, reason, f"move it there, and publish that with --owner {environment}")


def objections_to(owner: str, document: Document, published: Mapping[str, Published]) -> list[Objection]:
    """Everything that prevents the publication of a document beside the others.

    :param published: the published documents, by owner. Problems among the others alone do not count.
    """
    found = list(misplaced(owner, document, {*published, owner}))
    others = {
        other: one.value for other, one in published.items() if other != owner and isinstance(one.value, Publication)
    }
    if owner != CENTRAL_OWNER and CENTRAL_OWNER in others:
        for pipeline in others[CENTRAL_OWNER].document:
            if pipeline.environment == owner:
                reason = f"what {pipeline} waits for stands in the published document of {CENTRAL_OWNER}"
                remedy = f"take it out there first, and publish that with --owner {CENTRAL_OWNER}"
                found.append(Objection(pipeline, reason, remedy))
    declared_by = {pipeline: other for other, one in others.items() for pipeline in one.document}
    declared_by.update(dict.fromkeys(document, owner))
    together = {one: entry for publication in others.values() for one, entry in publication.document.items()}
    together |= document
    cycles = find_cycles(together)
    back = back_in_time(cycles)
    in_order = {
        pipeline: {leaf.pipeline for leaf in leaves(entry.condition) if (pipeline, leaf.pipeline) not in back}
        for pipeline, entry in together.items()
    }
    for steps in circles(together, through=document):
        pipeline = next(step.pipeline for step in steps if step.pipeline in document)
        remedy = "let 'match' and 'except' of one bridge leave these assets out, or take one of them out"
        found.append(Objection(pipeline, f"asset events would go in a circle: {in_words(steps)}", remedy))
    for number, ring in enumerate(cycles_through(document, in_order)):
        if number == MAX_CYCLES:
            break
        reason = f"closes a cycle: {cycle_in_words(ring, declared_by)}"
        found.append(Objection(ring[-1], reason, reason_of(ring, cycles)))
    return found


def cycle_in_words(cycle: tuple[PipelineRef, ...], declared_by: Mapping[PipelineRef, str]) -> str:
    """The whole cycle, upstream first; in brackets, the owner of the document with each pipeline's entry."""
    first, *others = cycle
    return " -> ".join([str(first), *(f"{pipeline} [{declared_by[pipeline]}]" for pipeline in others)])


def merge(published: Mapping[str, Published]) -> tuple[Graph, list[str]]:
    """The graph of all documents, and their problems.

    A document that cannot be read, or that declares a pipeline of another owner, is a problem; the graph must not be
    used then.

    :raises CycleFound: the documents together close a cycle.
    """
    nodes: list[Node] = []
    problems: list[str] = []
    for owner, publication in sorted(published.items()):
        if isinstance(publication.value, Unreadable):
            problems.append(f"dependencies of {owner}: {publication.value.reason}")
            continue
        wrong = {objection.pipeline: objection for objection in misplaced(owner, publication.value.document, published)}
        problems += map(str, wrong.values())
        nodes += (
            node for node in publication.value.nodes(publication.revision) if node.downstream.pipeline not in wrong
        )
    return Graph(nodes), problems
