"""Probable mistakes in a report that has been written: a pipeline that no document names, or an unusual partition.

Both may be right: a run may be reported before the dependency on it is published, and the naming of partitions may
change. So nothing is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from coordinator.commands.publish import read_publications
from coordinator.model.alike import alike
from coordinator.model.apart import form_of
from coordinator.model.conditions import leaves
from coordinator.model.named_partitions import named_partition
from coordinator.model.publishing.misspelled import numbers_in
from coordinator.model.publishing.publication import Publication
from coordinator.model.publishing.unmet_lately import newest
from coordinator.model.references import PipelineRef, Target
from coordinator.store.keys import Keys, StateKey
from coordinator.store.port import AccessDenied, Store

_ALIKE = 0.6
_SHOWN = 3


def slips(store: Store, keys: Keys, reported: Target) -> Iterator[str]:
    """Warnings about a report. This costs two requests, one of them a page of the pipeline's states.

    :raises StoreUnavailable: etcd cannot be asked.
    """
    page = next(iter(store.pages(keys.states_of(reported.pipeline))))
    states = (keys.parse(item.key) for item in page.items)
    others = {one.target.partition for one in states if isinstance(one, StateKey)} - {reported.partition}
    if others:
        yield from _unlike(reported, others)
    else:
        yield from _unnamed(store, keys, reported.pipeline)


def _unlike(reported: Target, others: Collection[str]) -> Iterator[str]:
    usual = form_of(others)
    if usual is None or form_of([reported.partition]) is usual:
        return
    near = named_partition(reported.partition, others).near
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    yield (
        f"{reported.pipeline} has {usual} for partitions, such as {newest(others)[0]}, and {reported.partition!r} is "
        f"none: what waits for it in those partitions does not see this run{hint}"
    )


def _unnamed(store: Store, keys: Keys, pipeline: PipelineRef) -> Iterator[str]:
    """The warning if no document names the pipeline, and this is its first run."""
    try:
        published = read_publications(store, keys).by_owner.values()
    except AccessDenied:  # the role of a reporter may not read documents
        return
    documents = [one.value.document for one in published if isinstance(one.value, Publication)]
    named = {
        name
        for document in documents
        for entry in document.values()
        for name in (entry.pipeline, *(leaf.pipeline for leaf in leaves(entry.condition)))
    }
    if pipeline not in named:
        numbered_alike = sorted(str(one) for one in named if numbers_in(one) == numbers_in(pipeline))
        near = alike(str(pipeline), numbered_alike, most=_SHOWN, cutoff=_ALIKE)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        yield f"no published document names {pipeline}, and this is its first run: nothing waits for it{hint}"
