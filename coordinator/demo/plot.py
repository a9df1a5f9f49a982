"""What is to happen: the acts of the show, and who is to run in each. Derived from the dependencies themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from coordinator.errors import ConfigurationError
from coordinator.model.conditions import leaves
from coordinator.model.dependencies import Document
from coordinator.model.graph import Graph, Node
from coordinator.model.references import DEFAULT_ENVIRONMENT, PipelineRef

SOURCE = PipelineRef(DEFAULT_ENVIRONMENT, "01_pipeline")
"""Triggered in the first act."""

CLEARED = PipelineRef(DEFAULT_ENVIRONMENT, "03_pipeline")
"""Its run is cleared in the second act."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act.

    :ivar top: the pipeline that a person starts or clears.
    :ivar expected: who is to run, each once; ``top`` first, upstreams before their downstreams.
    """

    number: int
    title: str
    top: PipelineRef
    expected: tuple[PipelineRef, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """The acts, and who waits for whom.

    :ivar pipelines: everybody on the stage, upstreams before their downstreams.
    """

    pipelines: tuple[PipelineRef, ...]
    upstreams: Mapping[PipelineRef, tuple[PipelineRef, ...]]
    wave: Act
    cascade: Act


def plot_of(document: Document, *, source: str) -> Plot:
    """The plot for a dependencies.json.

    :param source: what to call the document in messages.
    :raises ConfigurationError: 01_pipeline is not above 03_pipeline in it, so there is nothing to show.
    """
    upstreams = {
        pipeline: tuple(dict.fromkeys(leaf.upstream for leaf in leaves(downstream.condition)))
        for pipeline, downstream in document.items()
    }
    graph = Graph(Node(downstream, {}) for downstream in document.values())
    depths = _depths(graph, upstreams)
    everybody = tuple(sorted(graph, key=lambda pipeline: (depths[pipeline], pipeline)))
    wave = tuple(_below(SOURCE, everybody, upstreams))
    if SOURCE in upstreams or CLEARED not in wave:
        raise ConfigurationError(
            f"{source}: the demo triggers {SOURCE} and clears {CLEARED}: expected dependencies in which the former "
            "waits for nothing and the latter for it; the dependencies.json of the repository has them"
        )
    return Plot(
        pipelines=everybody,
        upstreams=upstreams,
        wave=Act(1, f"The wave: {SOURCE} is triggered, the rest follows by itself", SOURCE, wave),
        cascade=Act(
            2,
            f"The cascade: the run of {CLEARED} is cleared, what stands on it runs again",
            CLEARED,
            tuple(_below(CLEARED, everybody, upstreams)),
        ),
    )


def _below(
    top: PipelineRef, everybody: tuple[PipelineRef, ...], upstreams: Mapping[PipelineRef, tuple[PipelineRef, ...]]
) -> Iterator[PipelineRef]:
    """A pipeline and everything that runs because of it. Upstreams come before their downstreams in ``everybody``."""
    found: set[PipelineRef] = set()
    for pipeline in everybody:
        if pipeline == top or found.intersection(upstreams.get(pipeline, ())):
            found.add(pipeline)
            yield pipeline


def _depths(graph: Graph, upstreams: Mapping[PipelineRef, tuple[PipelineRef, ...]]) -> dict[PipelineRef, int]:
    """How many pipelines the longest way up to the top has."""
    depths: dict[PipelineRef, int] = {}
    for pipeline in graph:
        depths[pipeline] = 1 + max((depths[upstream] for upstream in upstreams.get(pipeline, ())), default=-1)
    return depths
