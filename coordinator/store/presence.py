"""Presence: which watcher this is, and how far it has read. The value of ``leader`` and of ``watchers/<id>``
(docs/architecture.md#keys).
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any

from coordinator.model import bounds
from coordinator.model.partitions.instants import format_instant
from coordinator.model.printable import encodable
from coordinator.model.stored import read_stored
from coordinator.store.process_id import ProcessId, read_process_id
from coordinator.version import __version__

PROBLEMS = 16
"""Problems in a presence, at most."""

ENVIRONMENTS = 64
"""Environments in a presence, at most. Where there are more, it names none."""


@dataclass(frozen=True, slots=True)
class PresentFile:
    """The dependencies file that a watcher was given.

    :ivar owner: the owner of its document.
    :ivar content: the hash of its document; empty where the file was never usable.
    :ivar problem: why it is not in force.
    """

    owner: str
    content: str
    serial: int | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a watcher has read.

    :ivar revision: everything up to this etcd revision has been read; 0: nothing yet.
    :ivar news: the revision of the newest change that is not only a sign of life.
    :ivar warm: everything is read and decided about, and the watch is alive: it could lead at once.
    :ivar file: the dependencies file that it publishes when it leads.
    :ivar problems: its problems that follow from no key, by place.
    :ivar unknown: its questions without an answer yet, by place.
    :ivar environments: those that it was configured with when it started.
    """

    revision: int
    news: int
    warm: bool
    environments: tuple[str, ...] = ()
    file: PresentFile | None = None
    problems: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)

    def differs_from(self, announced: Progress) -> bool:
        """Whether there is any difference except that time has passed."""
        mine = (self.news, self.warm, self.file, self.problems, self.unknown)
        return mine != (announced.news, announced.warm, announced.file, announced.problems, announced.unknown)


@dataclass(frozen=True, slots=True)
class Presence:
    """A live watcher. Fields that an older version does not write are ``None``. Times are ISO 8601 in UTC.

    :ivar since: under ``watchers/<id>``: when it started; under ``leader``: since when it leads.
    :ivar process: lets another watcher on the same machine find out that this one has ended.
    :ivar took_over: under ``leader``: it revoked the lease of its predecessor, and waits until the last requests of
        that one have ended.
    :ivar revision: the etcd revision up to which it had read when it wrote this; ``None`` may also mean: nothing yet.
    :ivar warm: it could lead at once.
    :ivar written_at: when it wrote this, by its own clock.
    :ivar again_within: seconds after which it writes this again at the latest.
    :ivar file: the dependencies file that it publishes when it leads.
    :ivar problems: its problems that follow from no key, by place; at most :data:`PROBLEMS`.
    :ivar unknown: its questions without an answer yet, likewise.
    :ivar environments: those that it was configured with when it started.
    """

    id: str
    host: str
    pid: int
    since: str
    version: str | None = None
    process: ProcessId | None = None
    took_over: bool | None = None
    revision: int | None = None
    warm: bool | None = None
    written_at: str | None = None
    again_within: float | None = None
    file: PresentFile | None = None
    problems: Mapping[str, str] | None = None
    unknown: Mapping[str, str] | None = None
    environments: tuple[str, ...] | None = None

    @classmethod
    def of_this_process(cls, watcher_id: str, *, since: datetime) -> Presence:
        process = ProcessId.of_this_process()
        return cls(watcher_id, socket.gethostname(), os.getpid(), written(since), __version__, process)

    @property
    def began(self) -> datetime | None:
        """``since``, if it can be read."""
        try:
            found = datetime.fromisoformat(self.since)
        except ValueError:
            return None
        return found if found.tzinfo is not None else None

    def progressed(self, progress: Progress, *, written_at: datetime, again_within: float) -> Presence:
        """The same watcher with its present progress."""
        return replace(
            self,
            revision=progress.revision or None,
            warm=progress.warm,
            written_at=written(written_at),
            again_within=again_within,
            file=progress.file,
            problems=dict(islice(progress.problems.items(), PROBLEMS)) or None,
            unknown=dict(islice(progress.unknown.items(), PROBLEMS)) or None,
            environments=progress.environments if 0 < len(progress.environments) <= ENVIRONMENTS else None,
        )

    def __str__(self) -> str:
        return f"{self.id} ({self.host}, pid {self.pid}) since {self.since}"

    def to_value(self) -> bytes:
        """The bytes for etcd."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None}).encode()


def owners_with_different_files(presences: Iterable[Presence]) -> dict[str, dict[PresentFile, list[str]]]:
    """For each owner whose watchers have different files: which watchers, by id, have which."""
    by_owner: dict[str, dict[PresentFile, list[str]]] = {}
    for presence in presences:
        if (file := presence.file) is not None:
            by_owner.setdefault(file.owner, {}).setdefault(replace(file, problem=None), []).append(presence.id)
    return {owner: by_file for owner, by_file in sorted(by_owner.items()) if len(by_file) > 1}


def place_of(environment: str) -> str:
    """The place of what is wrong with an environment, among the problems of a watcher."""
    return f"environment {environment}"


def written(moment: datetime) -> str:
    """A time as it is written in presences."""
    return format_instant(moment.replace(microsecond=0))


def read_presence(value: bytes) -> Presence:
    """Read a presence. What cannot be read is ``?``: the key alone says that somebody is there."""
    read = read_stored(value, json.loads, most=bounds.SMALL_VALUE, what="a presence")
    known: dict[str, Any] = read if isinstance(read, dict) else {}
    again_within = known.get("again_within")
    return Presence(
        id=_text(known, "id") or "?",
        host=_text(known, "host") or "?",
        pid=_whole(known.get("pid")) or 0,
        since=_text(known, "since") or "?",
        version=_text(known, "version"),
        process=read_process_id(known.get("process")),
        took_over=took_over if isinstance(took_over := known.get("took_over"), bool) else None,
        revision=_whole(known.get("revision")),
        warm=warm if isinstance(warm := known.get("warm"), bool) else None,
        written_at=_text(known, "written_at"),
        again_within=again_within if isinstance(again_within, float) else _whole(again_within),
        file=_file(known.get("file")),
        problems=_problems(known.get("problems")),
        unknown=_problems(known.get("unknown")),
        environments=_environments(known.get("environments")),
    )


def _file(known: object) -> PresentFile | None:
    if not isinstance(known, dict):
        return None
    owner, content = _text(known, "owner"), _text(known, "content")
    if owner is None or content is None:
        return None
    problem = known.get("problem")
    return PresentFile(
        owner,
        content,
        _whole(known.get("serial")),
        encodable(problem, limit=bounds.REASON) if isinstance(problem, str) else None,
    )


def _problems(known: object) -> dict[str, str] | None:
    if not isinstance(known, dict):
        return None
    texts = ((place, problem) for place, problem in known.items() if isinstance(problem, str))
    return {
        encodable(place, limit=bounds.AIRFLOW_NAME): encodable(problem, limit=bounds.REASON)
        for place, problem in islice(texts, PROBLEMS)
    }


def _environments(known: object) -> tuple[str, ...] | None:
    if not isinstance(known, list):
        return None
    names = (name for name in known[:ENVIRONMENTS] if isinstance(name, str))
    return tuple(encodable(name, limit=bounds.AIRFLOW_NAME) for name in names)


def _text(known: dict[str, Any], name: str) -> str | None:
    found = known.get(name)
    # JSON may contain halves of surrogate pairs, which cannot be printed.
    return encodable(found, limit=bounds.AIRFLOW_NAME) if isinstance(found, str) else None


def _whole(found: object) -> int | None:
    return found if isinstance(found, int) and not isinstance(found, bool) and abs(found) < 2**63 else None
