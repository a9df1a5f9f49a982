"""What another document would change: downstream by downstream, dependency by dependency, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from coordinator.model.conditions import Dependency, leaves
from coordinator.model.dependencies import Document, Downstream
from coordinator.model.documents import dump_document
from coordinator.model.references import PipelineRef

CONDITION_FIELD = "upstream"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of an entry, as it is written in the document; ``None`` where it is left out."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One downstream pipeline that begins (no ``before``) or ceases (no ``after``) to wait, or waits otherwise.

    :ivar added: dependencies that become active: they fire for completions from now on, never for the past.
    :ivar fields: what is written otherwise: the condition, as ``upstream``, and the policies.
    """

    pipeline: PipelineRef
    before: Downstream | None
    after: Downstream | None
    added: tuple[Dependency, ...]
    removed: tuple[Dependency, ...]
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that another document would change; false when that is nothing."""

    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def begins(self) -> tuple[Change, ...]:
        """Pipelines that nothing was said about before."""
        return tuple(change for change in self.changes if change.before is None)

    @property
    def ceases(self) -> tuple[Change, ...]:
        """Pipelines that will wait for nothing any more: nothing starts them either."""
        return tuple(change for change in self.changes if change.after is None)

    @property
    def differs(self) -> tuple[Change, ...]:
        """Pipelines that wait before and after, and not for the same."""
        return tuple(change for change in self.changes if change.before is not None and change.after is not None)

    @property
    def dependencies_added(self) -> int:
        return sum(len(change.added) for change in self.changes)

    @property
    def dependencies_removed(self) -> int:
        return sum(len(change.removed) for change in self.changes)


def difference(before: Document, after: Document) -> Difference:
    """What changes from one document to another; empty exactly when both are written alike canonically."""
    return Difference(tuple(_changes(before, after)))


def _changes(before: Document, after: Document) -> Iterable[Change]:
    for pipeline in sorted({*before, *after}):
        old, new = before.get(pipeline), after.get(pipeline)
        fields = tuple(_field_changes(_fields(old), _fields(new)))
        if fields:
            had, has = _dependencies(old), _dependencies(new)
            added = tuple(dependency for dependency in has if dependency not in had)
            removed = tuple(dependency for dependency in had if dependency not in has)
            yield Change(pipeline, old, new, added, removed, fields)


def _dependencies(downstream: Downstream | None) -> dict[Dependency, None]:
    """The dependencies by what activation belongs to: one that only asks for fewer or older inputs stays active."""
    return {} if downstream is None else dict.fromkeys(leaf.identity for leaf in leaves(downstream.condition))


def _fields(downstream: Downstream | None) -> dict[str, Any]:
    """An entry as it is written, whichever form that takes."""
    if downstream is None:
        return {}
    (entry,) = dump_document({downstream.pipeline: downstream}).values()
    return entry if isinstance(entry, dict) else {CONDITION_FIELD: entry}


def _field_changes(before: dict[str, Any], after: dict[str, Any]) -> Iterable[FieldChange]:
    for name in sorted({*before, *after}, key=lambda field: (field != CONDITION_FIELD, field)):
        old, new = before.get(name), after.get(name)
        if _written(old) != _written(new):
            yield FieldChange(name, old, new)


def _written(value: Any) -> str:
    """As JSON: for Python, true equals 1, and a run's conf may mean something else by each."""
    return json.dumps(value, sort_keys=True)
