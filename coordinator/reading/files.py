"""Dependencies files that are not in force, and dependencies taken out: parts of ``status`` and ``doctor``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.model.publishing.publication import Published
    from coordinator.store.presence import Presence, PresentFile


def file_problems(presences: Iterable[Presence]) -> dict[str, str]:
    """Why a watcher's file is not in force, by the watcher's key and its file."""
    return {
        f"watchers/{presence.id}: dependencies file": presence.file.problem
        for presence in presences
        if presence.file is not None and presence.file.problem is not None
    }


def differing_files(presences: Iterable[Presence]) -> Iterator[str]:
    """For each owner whose watchers have different files: which watcher has which."""
    from coordinator.store.presence import owners_with_different_files

    for owner, by_file in owners_with_different_files(presences).items():
        told = sorted((file_in_words(file), ", ".join(sorted(ids))) for file, ids in by_file.items())
        whose = "; ".join(f"{content} {ids}" for content, ids in told)
        yield f"watchers have different files for the document of {owner}: {whose}"


def file_in_words(file: PresentFile | None) -> str:
    """Like ``5fa1c0de`` or ``5fa1c0de, serial 7``."""
    if file is None:
        return ""
    return (file.content[:8] or "unusable") + (f", serial {file.serial}" if file.serial is not None else "")


def file_as_json(file: PresentFile | None) -> dict[str, Any] | None:
    """A watcher's file for programs."""
    if file is None:
        return None
    return {"owner": file.owner, "content": file.content, "serial": file.serial, "problem": file.problem}


def taken_away(published: Mapping[str, Published]) -> list[dict[str, Any]]:
    """The dependencies that were taken out while work waited for them, and have not been put back."""
    from coordinator.model.conditions import leaves
    from coordinator.model.publishing.publication import Publication

    publications = {owner: one.value for owner, one in published.items() if isinstance(one.value, Publication)}
    in_force = {
        (pipeline, str(leaf.identity))
        for publication in publications.values()
        for pipeline, downstream in publication.document.items()
        for leaf in leaves(downstream.condition)
    }
    return [
        {
            "owner": owner,
            "pipeline": str(name[0]),
            "dependency": name[1],
            "taken_out_at": _in_seconds(one.at),
            "partitions": list(one.partitions),
            "more": one.more,
        }
        for owner, publication in sorted(publications.items())
        for name, one in sorted(publication.retired.items())
        if one.partitions and name not in in_force
    ]


def taken_away_in_words(published: Mapping[str, Published]) -> Iterator[str]:
    """The same for people."""
    for one in taken_away(published):
        partitions, more = one["partitions"][:3], one["more"] + len(one["partitions"][3:])
        yield (
            f"{one['pipeline']} <- {one['dependency']} was taken out at {one['taken_out_at']} while "
            f"{', '.join(partitions)}{f' and {more} more' if more else ''} waited for it; put back within "
            "publication.resume_within it resumes"
        )


def _in_seconds(moment: datetime) -> str:
    from coordinator.model.partitions.instants import format_instant

    return format_instant(moment.replace(microsecond=0))
