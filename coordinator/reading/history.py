"""History for the page: what people did, and what was published, with what each publication changed."""

from __future__ import annotations

from typing import Any

from coordinator.commands.acts import RecordedAct, recorded_acts
from coordinator.commands.publication_history import History, Version, history
from coordinator.model.partitions.instants import format_instant
from coordinator.model.publishing.difference import Change
from coordinator.model.publishing.publication import Publication
from coordinator.model.stored import Unreadable
from coordinator.store.keys import DependenciesKey, Keys
from coordinator.store.port import Store

NAMED = 20
"""Pipelines that a publication has changed and that are named."""


def history_as_json(store: Store, keys: Keys, *, most: int) -> dict[str, Any]:
    """The newest acts, and the newest publications of each owner.

    :param most: acts, and publications of an owner.
    :raises StoreError: etcd could not be read.
    """
    acts = recorded_acts(store, keys, limit=most + 1)
    listed = store.list(keys.every("dependencies"), largest=keys.largest_value)
    parsed = map(keys.parse, (item.key for item in listed.items))
    owners = sorted(key.owner for key in parsed if isinstance(key, DependenciesKey))
    published = {owner: history(store, keys, owner, limit=most) for owner in owners}
    return {
        "revision": listed.revision,
        "acts": [act_as_json(one) for one in acts[:most]],
        "more_acts": len(acts) > most,
        "owners": [_owner(owner, found) for owner, found in published.items()],
    }


def act_as_json(recorded: RecordedAct) -> dict[str, Any]:
    """An act for programs: what ``coordinator acts --json`` prints, and the page shows."""
    act = recorded.value
    if isinstance(act, Unreadable):
        return {"id": recorded.act_id, "problem": act.reason}
    return {
        "id": recorded.act_id,
        "act": str(act.verb),
        "what": act.what or None,
        "pipeline": str(act.pipeline),
        "partition": act.partition,
        "who": act.signature.who,
        "when": format_instant(act.signature.when),
        "why": act.signature.why,
    }


def _owner(owner: str, found: History) -> dict[str, Any]:
    return {"owner": owner, "versions": [_version(one) for one in found.versions], "earlier": str(found.earlier)}


def _version(version: Version) -> dict[str, Any]:
    value, changed = version.published.value, version.changed
    if not isinstance(value, Publication):
        return {"revision": version.published.revision, "problem": value.reason}
    return {
        "revision": version.published.revision,
        "version": value.version,
        "serial": value.serial,
        "by": value.published_by or None,
        "when": format_instant(value.published_at.replace(microsecond=0)) if value.published_at is not None else None,
        "why": value.why or None,
        "pipelines": len(value.document),
        "changed": None if changed is None else [_change(one) for one in changed.changes[:NAMED]],
        "more_changed": 0 if changed is None else max(0, len(changed.changes) - NAMED),
    }


def _change(change: Change) -> dict[str, Any]:
    kind = "begins" if change.before is None else "ceases" if change.after is None else "differs"
    return {
        "pipeline": str(change.pipeline),
        "kind": kind,
        "added": [str(one) for one in change.added],
        "removed": [str(one) for one in change.removed],
        "fields": [one.name for one in change.fields],
    }
