"""The difference between two documents: by downstream, dependency and field."""

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
    """A field of an entry, as it is written in the document; ``None`` if it is absent."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One downstream pipeline that begins (no ``before``) or ceases (no ``after``) to wait, or whose entry changes.

    :ivar added: dependencies that become active: only completions from now on are new.
    :ivar fields: the changed fields: the condition, as ``upstream``, and the policies.
    """

    pipeline: PipelineRef
    before: Downstream | None
    after: Downstream | None
    added: tuple[Dependency, ...]
    removed: tuple[Dependency, ...]
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """All changes; false if there are none."""

    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def begins(self) -> tuple[Change, ...]:
        """Pipelines without an entry before."""
        return tuple(change for change in self.changes if change.before is None)

    @property
    def ceases(self) -> tuple[Change, ...]:
        """Pipelines without an entry after: the coordinator does not start them any more."""
        return tuple(change for change in self.changes if change.after is None)

    @property
    def differs(self) -> tuple[Change, ...]:
        """Pipelines with different entries before and after."""
        return tuple(change for change in self.changes if change.before is not None and change.after is not None)

    @property
    def dependencies_added(self) -> int:
        return sum(len(change.added) for change in self.changes)

    @property
    def dependencies_removed(self) -> int:
        return sum(len(change.removed) for change in self.changes)


def difference(before: Document, after: Document) -> Difference:
    """The changes from one document to another; empty exactly if both have the same canonical form."""
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
    """The dependencies by their identity: one that only requires fewer or allows older inputs stays active."""
    return {} if downstream is None else dict.fromkeys(leaf.identity for leaf in leaves(downstream.condition))


def _fields(downstream: Downstream | None) -> dict[str, Any]:
    """The fields of an entry as it is written."""
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
    """As JSON text: for Python, True equals 1, but they may differ in a run's conf."""
    return json.dumps(value, sort_keys=True)
