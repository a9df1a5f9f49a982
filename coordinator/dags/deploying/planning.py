"""What a deploy would change, and what is in its way. Pure: the same digests give the same plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from shlex import quote

from coordinator.dags.deploying.records import Manifest, Writes

Digests = Mapping[str, str]
"""The digest of each file, by its path."""


class Action(StrEnum):
    """What becomes of a file of the target."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Change:
    """A file that is to change, or may not.

    :ivar before: its digest; ``None``: it is not there.
    :ivar after: the digest that it is to have; ``None``: it is not to be there.
    :ivar reason: why it may not.
    :ivar remedy: what to do about it.
    """

    path: str
    action: Action
    before: str | None
    after: str | None
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """:ivar changes: in the order in which they are carried out.
    :ivar refused: what is in the way: then nothing is carried out.
    :ivar unchanged: how many files are as they are to be.
    :ivar foreign: files of the target that are somebody else's, and stay.
    """

    changes: tuple[Change, ...]
    refused: tuple[Change, ...]
    unchanged: int
    foreign: tuple[str, ...]


def make_plan(
    source: Digests,
    target: Mapping[str, str | None],
    manifest: Manifest | None,
    begun: Writes | None,
    *,
    overwrite: Collection[str] = (),
    generated: Collection[str] = (),
) -> Plan:
    """Compare source and target.

    :param target: the digests of its files; ``None``: of one that neither the source nor a record names.
    :param begun: what a deploy that has not ended writes.
    :param overwrite: files that are written or removed although somebody else wrote or changed them.
    :param generated: files of the source that were generated.
    """
    files = manifest.files if manifest is not None else {}
    writes = begun.files if begun is not None else {}
    changes, refused, unchanged, foreign = [], [], 0, []
    for path in sorted({*source, *target}):
        before, after = target.get(path), source.get(path)
        if path in target and after is None and path not in files and path not in writes:
            foreign.append(path)
        elif before == after:
            unchanged += 1
        elif before is None:
            changes.append(Change(path, Action.CREATE, before, after))
        elif before == files.get(path) or before in writes.get(path, ()) or (before and path in overwrite):
            changes.append(Change(path, Action.REMOVE if after is None else Action.UPDATE, before, after))
        else:
            refused.append(
                _refused(path, before, after, known=path in files or path in writes, is_generated=path in generated)
            )
    gone = {one.path for one in changes if one.action == Action.REMOVE}
    in_the_way = _in_the_way([one.path for one in changes if one.action == Action.CREATE], target)
    kept = {path: others - gone for path, others in in_the_way.items() if others - gone}
    refused += [_refused_for(one, min(kept[one.path])) for one in changes if one.path in kept]
    first = {other for path, others in in_the_way.items() if path not in kept for other in others}
    changes = [one for one in changes if one.path not in kept]
    changes.sort(key=lambda change: (change.path not in first, *_order(change)))
    return Plan(tuple(changes), tuple(refused), unchanged, tuple(foreign))


def _in_the_way(paths: Iterable[str], target: Collection[str]) -> dict[str, set[str]]:
    """For each path the files of the target where it needs a directory, and those of a directory where it is to be."""
    wanted = set(paths)
    in_the_way = {path: {above for above in _above(path) if above in target} for path in wanted}
    for other in target:
        for above in _above(other):
            if above in wanted:
                in_the_way[above].add(other)
    return in_the_way


def _above(path: str) -> Iterator[str]:
    return (str(one) for one in PurePosixPath(path).parents)


def _refused_for(change: Change, other: str) -> Change:
    reason = f"{other} is in the way: the same name cannot be a file and a directory"
    remedy = "rename it in the source, or remove what is there from the target"
    return replace(change, action=Action.REFUSED, reason=reason, remedy=remedy)


def _refused(path: str, before: str, after: str | None, *, known: bool, is_generated: bool) -> Change:
    reason = "somebody changed it since it was deployed" if known else "it was not deployed from here"
    where = "bring it into the template and generate again" if is_generated else "copy it into the source"
    lose = f"pass --overwrite {quote(path)}" if before else "remove it from the target"  # a link has no digest
    keep = f"to keep what is there, {where}; to lose it, {lose}"
    drop = f"it is not in the source any more; to lose it, {lose}; to keep it, bring it back into the source"
    return Change(path, Action.REFUSED, before, after, reason, keep if after is not None else drop)


def _order(change: Change) -> tuple[bool, bool, int, str]:
    """What a DAG needs comes before it, and what is removed goes last: Airflow reads the folder meanwhile."""
    path = PurePosixPath(change.path)
    return change.action == Action.REMOVE, path.suffix == ".py", -len(path.parts), change.path
