"""The guard: refuses valid edits that are probably a mistake.

A person overrides it: ``coordinator apply --accept``, or ``"accept": <version in force>`` in the file. Pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from coordinator.model.assets.names import is_delivery
from coordinator.model.conditions import leaves
from coordinator.model.dependencies import Document, Downstream
from coordinator.model.publishing.difference import Difference
from coordinator.model.references import PipelineRef, Target

MOST_REMOVED = 5
"""Dependencies that may be removed at once, however few there are."""

MOST_REMOVED_OF = 5
"""One in so many dependencies may be removed."""

RESUME_LIMIT = 100
"""Partitions that putting dependencies back may start: the default of ``publication.resume_limit``."""

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Replacement:
    """Pipelines that replace others in an entry, as a typing error would.

    :ivar where: the entry.
    """

    where: PipelineRef
    gone: tuple[PipelineRef, ...]
    come: tuple[PipelineRef, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """The answers of environments about DAGs.

    :ivar missing: DAGs that do not exist.
    :ivar unasked: environments that gave no answer, and why.
    :ivar awaited: those of them that are slow or away, and not for long: nothing is known to be wrong with them.
    """

    missing: frozenset[PipelineRef] = frozenset()
    unasked: Mapping[str, str] = field(default_factory=dict)
    awaited: frozenset[str] = frozenset()

    def is_there(self, pipeline: PipelineRef) -> bool:
        """Whether its environment has the DAG, as far as is known."""
        return pipeline not in self.missing and pipeline.environment not in self.unasked


def too_many_removed(before: Document, difference: Difference) -> str | None:
    """Why the removals are refused; ``None``: they are not."""
    removed = difference.dependencies_removed
    there = sum(1 for downstream in before.values() for _ in leaves(downstream.condition))
    if removed <= MOST_REMOVED or removed * MOST_REMOVED_OF <= there:
        return None
    return (
        f"{removed} of {there} dependencies would be removed at once; expected at most a fifth "
        f"({there // MOST_REMOVED_OF}), or {MOST_REMOVED}"
    )


def replacements(difference: Difference) -> list[Replacement]:
    """Every possible replacement of a pipeline by another one."""
    found = []
    for change in difference.differs:
        if is_delivery(change.pipeline):
            continue
        had, has = _upstreams(change.before), _upstreams(change.after)
        if had - has and has - had:
            found.append(Replacement(change.pipeline, tuple(sorted(had - has)), tuple(sorted(has - had))))
    ceased: dict[tuple[str, object], list[PipelineRef]] = {}
    for change in difference.ceases:
        assert change.before is not None
        ceased.setdefault((change.pipeline.environment, change.before.condition), []).append(change.pipeline)
    for change in difference.begins:
        assert change.after is not None
        if is_delivery(change.pipeline):
            continue
        if gone := ceased.get((change.pipeline.environment, change.after.condition)):
            found.append(Replacement(change.pipeline, tuple(gone), (change.pipeline,)))
    return found


def misspelt(candidates: Iterable[Replacement], known: Known) -> Iterator[str]:
    """Why replacements are refused: the DAG before exists, and the one in its place does not."""
    for one in candidates:
        there = [str(gone) for gone in one.gone if known.is_there(gone)]
        for come in one.come if there else ():
            if come in known.missing:
                (gone,) = difflib.get_close_matches(str(come), there, n=1, cutoff=0.0) or there[:1]
                yield (
                    f"{one.where}: {come} stands where {gone} stood, and {come.environment} has no DAG "
                    f"{come.dag_id!r}, while {gone} is there; correct the name, or deploy the DAG first"
                )


def too_much_resumed(targets: Collection[Target], limit: int) -> str | None:
    """Why a resumption is refused; ``None``: it is not. :param targets: the partitions that it may start."""
    if len(targets) <= limit:
        return None
    pipelines = sorted({target.pipeline for target in targets})
    named = ", ".join(map(str, pipelines[:_NAMED])) + (" and others" if len(pipelines) > _NAMED else "")
    return (
        f"dependencies that were taken out and are put back resume: up to {len(targets)} partitions of {named} may "
        f"start at once; expected at most {limit} (publication.resume_limit); begin them again with coordinator apply "
        "--fresh PIPELINE, or accept it"
    )


def _upstreams(downstream: Downstream | None) -> set[PipelineRef]:
    return set() if downstream is None else {leaf.pipeline for leaf in leaves(downstream.condition)}
