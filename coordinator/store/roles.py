"""Who may read and write which keys: the roles of etcd's users, each with as little as its work takes.

Pure: ``users`` brings them into an etcd, ``securing`` decides what has to be changed there.

etcd knows permissions on ranges of keys, and no more than "read" and "write": writing is also deleting, and there is
no "create only". A compare in a transaction needs the right to read its key, and a list or watch the right to read
its whole range (https://etcd.io/docs/v3.5/op-guide/authentication/rbac/).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from coordinator.errors import ConfigurationError
from coordinator.model.printable import printable
from coordinator.store.keys import Keys

ENFORCED_SINCE = ((3, 6, 14), (3, 7, 1))
"""The first releases whose roles hold against somebody who means harm.

In every 3.5 a full database (NOSPACE) switches the checks of rights off for what is still allowed, so that a user who
fills it can grant itself root. Before 3.5.33, 3.6.14 and 3.7.1 a transaction inside a transaction is not checked
(GHSA-rfx7-8w68-q57q), nor whether a client has logged in for leases and alarms (GHSA-q8m4-xhhv-38mg), nor a lease or a
previous value in a transaction (GHSA-x35m-3gp4-4fh5), nor where an open-ended watch ends (GHSA-xg4h-6gfc-h4m8)."""


class Access(enum.StrEnum):
    """In the words of ``etcdctl role grant-permission``."""

    READ = "read"
    WRITE = "write"
    READ_WRITE = "readwrite"


@dataclass(frozen=True, slots=True, order=True)
class KeyRange:
    """Keys from ``first`` up to, and without, ``end``; where ``end`` is empty: the one key ``first``."""

    first: str
    end: str = ""

    @classmethod
    def below(cls, prefix: str) -> KeyRange:
        """All keys that begin with a prefix of ours, which ends with ``/``."""
        return cls(prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))

    @property
    def prefix(self) -> str | None:
        """What all its keys begin with, where it is such a range."""
        return self.first if self.first.endswith("/") and KeyRange.below(self.first) == self else None

    def __str__(self) -> str:
        """For people."""
        if not self.end:
            return self.first
        return f"{self.first}*" if self.prefix is not None else f"{self.first!r} to {self.end!r}"


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    keys: KeyRange
    access: Access

    def __str__(self) -> str:
        return f"{self.access} {self.keys}"


@dataclass(frozen=True, slots=True)
class Role:
    """:ivar name: in etcd. :ivar purpose: for people: whose role it is."""

    name: str
    purpose: str
    permissions: frozenset[Permission]


def namespace(keys: Keys) -> str:
    """What the names of all roles of one prefix begin with: roles belong to a whole etcd, which others may use too."""
    return keys.prefix.strip("/") + "-"


def watcher(keys: Keys) -> Role:
    """``coordinator watch``. It holds nothing: that is for people."""
    written = (KeyRange.below(keys.every(kind)) for kind in _WRITTEN_BY_WATCHERS)
    single = map(KeyRange, (keys.heartbeat, keys.leader, keys.retention))
    return _reading_all(keys, "watcher", "coordinator watch", writes=(*written, *single))


def viewer(keys: Keys) -> Role:
    """Whoever only looks."""
    return _reading_all(keys, "viewer", "status, explain, plan, acts, doctor")


def operator(keys: Keys, environment: str | None = None) -> Role:
    """A person who holds, releases, reruns, marks, fills and forgets.

    The log of acts is one for all: whoever may write an act may write, and delete, any.

    :param environment: only the pipelines of this one; ``None``: all.
    """
    written = (KeyRange.below(keys.every(kind, environment)) for kind in _WRITTEN_BY_OPERATORS)
    return _reading_all(
        keys,
        "operator" if environment is None else f"operator-{_named(environment)}",
        f"hold, release, rerun, mark, fill, forget{'' if environment is None else f': pipelines of {environment}'}",
        writes=(*written, KeyRange.below(keys.acts)),
    )


def owner(keys: Keys, name: str) -> Role:
    """Whoever publishes one dependency document.

    ``plan`` and ``apply`` hold it against everything that stands there, so all of it is read.
    """
    written = map(KeyRange, (keys.dependencies(_named(name)), keys.published_before(name)))
    return _reading_all(keys, f"owner-{name}", f"plan, apply --owner {name}", writes=written)


def reporter(keys: Keys, environment: str) -> Role:
    """Whatever reports run states of one environment, and says that it is there. It reads what it writes: a report is
    held against what is there, and a lease is believed with a read behind it."""
    own = (
        KeyRange.below(keys.every("state", _named(environment))),
        KeyRange.below(keys.every("reporter", environment)),
        KeyRange(keys.reporter_seen(environment)),
    )
    permissions = frozenset(Permission(keys_of_it, Access.READ_WRITE) for keys_of_it in own)
    return Role(f"{namespace(keys)}reporter-{environment}", f"reports runs of {environment}", permissions)


def roles_of(
    keys: Keys, *, reporters: Iterable[str] = (), owners: Iterable[str] = (), operators: Iterable[str] = ()
) -> tuple[Role, ...]:
    """The roles of a coordinator: watcher, operator and viewer, and those for environments.

    :raises ConfigurationError: a name is empty, or not printable.
    """
    return (
        watcher(keys),
        *(reporter(keys, environment) for environment in dict.fromkeys(reporters)),
        *(owner(keys, name) for name in dict.fromkeys(owners)),
        operator(keys),
        *(operator(keys, environment) for environment in dict.fromkeys(operators)),
        viewer(keys),
    )


def is_enforced(version: tuple[int, ...]) -> bool:
    """Whether an etcd of this version keeps its users to their roles; see :data:`ENFORCED_SINCE`."""
    of_its_series = any(version[:2] == since[:2] and version >= since for since in ENFORCED_SINCE)
    return of_its_series or version >= ENFORCED_SINCE[-1]


_WRITTEN_BY_WATCHERS = ("acts", "dependencies", "floor", "order", "published", "state", "trigger", "watchers")
"""Acts and orders: retention deletes old ones. States: what was seen where nobody reports."""

_WRITTEN_BY_OPERATORS = ("hold", "order", "state", "trigger")
"""States: ``mark`` and ``forget``. Trigger records: ``forget`` deletes them."""


def _reading_all(keys: Keys, name: str, purpose: str, *, writes: Iterable[KeyRange] = ()) -> Role:
    written = {Permission(one, Access.WRITE) for one in writes}
    everything = Permission(KeyRange.below(keys.root), Access.READ)
    return Role(namespace(keys) + name, purpose, frozenset({everything, *written}))


def _named(name: str) -> str:
    if not name.strip() or printable(name) != name:  # it goes into commands that people copy
        raise ConfigurationError(f"a role is for one environment; expected its name, in printable text, found {name!r}")
    return name
