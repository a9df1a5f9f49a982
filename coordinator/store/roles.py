"""Roles: which users of etcd may read and write which keys, each with the least permissions that its work needs.

Pure: ``securing`` decides what has to be changed in an etcd, ``users`` changes it.

etcd has permissions on ranges of keys, for reading and writing only: writing includes deleting, and there is no
"create only". A compare in a transaction needs the permission to read its key, and a list or watch that to read its
whole range (https://etcd.io/docs/v3.5/op-guide/authentication/rbac/).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from coordinator.errors import ConfigurationError
from coordinator.model.printable import printable
from coordinator.store.keys import Keys

ENFORCED_SINCE = ((3, 6, 14), (3, 7, 1))
"""The first releases whose roles withstand an attacker.

In every 3.5 a full database (NOSPACE) disables the permission checks of requests that are still allowed, so that a user
who fills it can grant itself root. Before 3.5.33, 3.6.14 and 3.7.1 a transaction inside a transaction is not checked
(GHSA-rfx7-8w68-q57q), nor whether a client has logged in for leases and alarms (GHSA-q8m4-xhhv-38mg), nor a lease or a
previous value in a transaction (GHSA-x35m-3gp4-4fh5), nor where an open-ended watch ends (GHSA-xg4h-6gfc-h4m8)."""


class Access(enum.StrEnum):
    """The kinds of permission, as in ``etcdctl role grant-permission``."""

    READ = "read"
    WRITE = "write"
    READ_WRITE = "readwrite"


@dataclass(frozen=True, slots=True, order=True)
class KeyRange:
    """The keys from ``first`` up to, but without, ``end``; if ``end`` is empty: the one key ``first``."""

    first: str
    end: str = ""

    @classmethod
    def below(cls, prefix: str) -> KeyRange:
        """All keys with a prefix of ours, which ends with ``/``."""
        return cls(prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))

    @property
    def prefix(self) -> str | None:
        """The common prefix of its keys, if it is such a range."""
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
    """:ivar name: in etcd. :ivar purpose: for people: what the role is for."""

    name: str
    purpose: str
    permissions: frozenset[Permission]


def namespace(keys: Keys) -> str:
    """The prefix of the names of all our roles: roles belong to a whole etcd, which others may use too."""
    return keys.prefix.strip("/") + "-"


def watcher(keys: Keys) -> Role:
    """The role of ``coordinator watch``. It may not write holds: those are for people."""
    written = (KeyRange.below(keys.every(kind)) for kind in _WRITTEN_BY_WATCHERS)
    single = map(KeyRange, (keys.heartbeat, keys.leader, keys.retention))
    return _reading_all(keys, "watcher", "coordinator watch", writes=(*written, *single))


def viewer(keys: Keys) -> Role:
    """The role for people and programs that only read."""
    return _reading_all(keys, "viewer", "status, explain, plan, acts, doctor")


def operator(keys: Keys, environment: str | None = None) -> Role:
    """The role of a person who holds, releases, reruns, marks, fills and forgets.

    There is one log of acts: a user who may write an act may write, and delete, any.

    :param environment: for the pipelines of this environment only; ``None``: for all.
    """
    written = (KeyRange.below(keys.every(kind, environment)) for kind in _WRITTEN_BY_OPERATORS)
    return _reading_all(
        keys,
        "operator" if environment is None else f"operator-{_named(environment)}",
        f"hold, release, rerun, mark, fill, forget{'' if environment is None else f': pipelines of {environment}'}",
        writes=(*written, KeyRange.below(keys.acts)),
    )


def owner(keys: Keys, name: str) -> Role:
    """The role for publishing one dependency document.

    ``plan`` and ``apply`` compare it with everything in etcd, so the role reads everything.
    """
    written = map(KeyRange, (keys.dependencies(_named(name)), keys.published_before(name)))
    return _reading_all(keys, f"owner-{name}", f"plan, apply --owner {name}", writes=written)


def reporter(keys: Keys, environment: str) -> Role:
    """The role for reporting run states and asset events of one environment, and for its sensors. It also reads these
    keys: a report is compared with the present state, the extension of a lease is confirmed by a read, and a sensor
    reads the answer."""
    own = (
        KeyRange.below(keys.every("state", _named(environment))),
        KeyRange.below(keys.every("asset", environment)),
        KeyRange.below(keys.every("wait", environment)),
        KeyRange.below(keys.every("reporter", environment)),
        KeyRange(keys.reporter_seen(environment)),
    )
    permissions = frozenset(Permission(keys_of_it, Access.READ_WRITE) for keys_of_it in own)
    return Role(f"{namespace(keys)}reporter-{environment}", f"reports runs of {environment}", permissions)


def sensors(keys: Keys, environment: str) -> Role:
    """The role for the sensors of one environment, where nothing else reports: for workers, which whoever writes a DAG
    has in hand. A sensor writes its wait, and reads the answer there."""
    own = Permission(KeyRange.below(keys.every("wait", _named(environment))), Access.READ_WRITE)
    return Role(f"{namespace(keys)}sensors-{environment}", f"PipelineSensor in {environment}", frozenset({own}))


def roles_of(
    keys: Keys, *, reporters: Iterable[str] = (), owners: Iterable[str] = (), operators: Iterable[str] = ()
) -> tuple[Role, ...]:
    """The roles of a coordinator: watcher, operator and viewer, and those for environments.

    :param reporters: environments that report, and whose sensors wait.
    :raises ConfigurationError: a name is empty or not printable.
    """
    return (
        watcher(keys),
        *(of(keys, environment) for environment in dict.fromkeys(reporters) for of in (reporter, sensors)),
        *(owner(keys, name) for name in dict.fromkeys(owners)),
        operator(keys),
        *(operator(keys, environment) for environment in dict.fromkeys(operators)),
        viewer(keys),
    )


def is_enforced(version: tuple[int, ...]) -> bool:
    """Whether an etcd of this version enforces roles; see :data:`ENFORCED_SINCE`."""
    of_its_series = any(version[:2] == since[:2] and version >= since for since in ENFORCED_SINCE)
    return of_its_series or version >= ENFORCED_SINCE[-1]


_WRITTEN_BY_WATCHERS = (
    "acts",
    "asset",
    "dependencies",
    "floor",
    "observed",
    "order",
    "published",
    "state",
    "task",
    "trigger",
    "wait",
    "watchers",
)
"""Acts, orders and asset events: retention deletes old ones. States: runs that environments show and nobody reports."""

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
