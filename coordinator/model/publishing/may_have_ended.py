"""Tasks that a document begins to wait for, and that may have ended already in a run that goes on: they count as new.

A task is asked about only once something waits for it. So nobody knows beforehand whether it has ended, or when.
"""

from __future__ import annotations

from collections.abc import Iterable

from coordinator.model.conditions import leaves
from coordinator.model.dependencies import Document
from coordinator.model.phrases import some_of
from coordinator.model.references import PipelineRef, Target

_NAMED = 5


def may_have_ended(document: Document, previous: Document, running: Iterable[Target]) -> str | None:
    """What publishing may start at once, in words.

    :param previous: the document that it takes the place of.
    :param running: the pipelines with a run that goes on, in its partition.
    """
    before = _tasks(previous)
    new = _tasks(document) - before
    by_pipeline: dict[PipelineRef, list[PipelineRef]] = {}
    for _, task in sorted(new):
        by_pipeline.setdefault(task.whole, []).append(task)
    found = [str(Target(task, run.partition)) for run in sorted(running) for task in by_pipeline.get(run.pipeline, ())]
    if not found:
        return None
    named = some_of(dict.fromkeys(found), _NAMED)
    return f"tasks of runs that go on may have ended already, and count as new then: {named}"


def _tasks(document: Document) -> set[tuple[PipelineRef, PipelineRef]]:
    """Who waits for which task."""
    return {
        (downstream, leaf.upstream)
        for downstream, entry in document.items()
        for leaf in leaves(entry.condition)
        if leaf.upstream.task and leaf.trigger
    }
