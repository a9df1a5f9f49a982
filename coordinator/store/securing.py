"""Creating roles and users in an etcd: missing permissions are granted, and superfluous ones are revoked.

A role of ours is known by its name, which begins with the prefix of the keys (``roles.namespace``). Everything else in
the etcd is left alone; so are roles of ours that are not wanted any more, and other roles of a user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from coordinator.errors import CoordinatorError
from coordinator.store.keys import Keys
from coordinator.store.roles import Permission, Role, namespace
from coordinator.store.users import ROOT, Users


class NotOurs(CoordinatorError):
    """A role that seems to be somebody else's would have to be changed: nothing was written."""


class CannotEnable(CoordinatorError):
    """Authentication cannot be turned on: nobody could turn it off again."""


class PasswordNotTaken(CoordinatorError):
    """etcd ignored a password without an error."""


@dataclass(frozen=True, slots=True)
class WantedUser:
    """:ivar password: ``None``: an existing user keeps its own; a new one can log in by certificate only."""

    name: str
    roles: tuple[str, ...]
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RoleChange:
    """The changes of a role. ``present``: whether it exists."""

    role: str
    present: bool
    granted: tuple[Permission, ...]
    revoked: tuple[Permission, ...]

    def __bool__(self) -> bool:
        return bool(not self.present or self.granted or self.revoked)


@dataclass(frozen=True, slots=True)
class UserChange:
    """The changes of a user. ``present``: whether it exists."""

    user: str
    present: bool
    roles: tuple[str, ...]
    password: str | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return bool(not self.present or self.roles or self.password is not None)


@dataclass(frozen=True, slots=True)
class Changes:
    """All changes.

    :ivar left_alone: roles of this prefix that exist and are not wanted.
    """

    roles: tuple[RoleChange, ...]
    users: tuple[UserChange, ...]
    left_alone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.roles or self.users)


def find_changes(users: Users, keys: Keys, wanted: Sequence[Role], people: Sequence[WantedUser] = ()) -> Changes:
    """Which changes an etcd needs to have these roles and users. Writes nothing.

    :raises NotOurs: a role of that name has permissions on other keys only.
    """
    authentication_is_on = users.authentication_is_on()
    roles = [_role_change(users, keys, role) for role in wanted]
    names = {role.name for role in wanted}
    return Changes(
        tuple(change for change in roles if change),
        tuple(
            change for one in people if (change := _user_change(users, one, authentication_is_on=authentication_is_on))
        ),
        tuple(name for name in users.roles() if name not in names and _is_of(keys, name)),
    )


def carry_out(users: Users, changes: Changes) -> None:
    """Make these changes. May be repeated after a failure.

    :raises PasswordNotTaken: a user was added without a password, and cannot get one.
    """
    for role in changes.roles:
        if not role.present:
            users.add_role(role.role)
        # Grant before revoking, so that users of this role lose nothing in between.
        for permission in role.granted:
            users.grant(role.role, permission)
        for permission in role.revoked:
            users.revoke(role.role, permission.keys)
    for user in changes.users:
        if not user.present:
            users.add_user(user.user, user.password)
        elif user.password is not None:
            _set_password(users, user.user, user.password)
        for name in user.roles:
            users.grant_role(user.user, name)


def enable_authentication(users: Users) -> bool:
    """Turn authentication on. Returns ``False`` if it was on already.

    :raises CannotEnable: nobody could turn it off again.
    """
    if users.authentication_is_on():
        return False
    roles = users.roles_of(ROOT)
    if roles is None or ROOT not in roles:
        lacks = "there is no user root" if roles is None else "the user root has not the role root"
        add = "etcdctl user add root; " if roles is None else ""
        raise CannotEnable(
            f"authentication stays off: {lacks}, and only that one could change anything afterwards; etcd wants it "
            f"too. Do: {add}etcdctl role add root; etcdctl user grant-role root root; and then this again"
        )
    users.enable_authentication()
    return True


def holders(users: Users, roles: Collection[str]) -> dict[str, list[str]]:
    """Which users have which of these roles."""
    found: dict[str, list[str]] = {role: [] for role in roles}
    for user in users.users():
        for role in users.roles_of(user) or ():
            if role in found:
                found[role].append(user)
    return found


def _role_change(users: Users, keys: Keys, role: Role) -> RoleChange:
    present = users.permissions_of(role.name)
    if present is None:
        return RoleChange(role.name, False, _ordered(role.permissions), ())
    if present and not any(one.keys.first.startswith(keys.root) for one in present):
        raise NotOurs(
            f"there is a role {role.name} that has to do with other keys than those below {keys.root} "
            f"({', '.join(map(str, _ordered(present)))}): it looks like somebody else's, and nothing was written; see "
            f"etcdctl role get {role.name}, and delete it or choose another etcd.prefix"
        )
    wanted = {one.keys for one in role.permissions}
    return RoleChange(
        role.name,
        True,
        granted=_ordered(role.permissions - present),
        # A range with another access is granted again, which replaces it.
        revoked=_ordered(one for one in present if one.keys not in wanted),
    )


def _user_change(users: Users, wanted: WantedUser, *, authentication_is_on: bool) -> UserChange:
    present = users.roles_of(wanted.name)
    password = wanted.password
    if present is not None and password is not None and authentication_is_on:  # else etcd cannot check it
        password = None if users.can_log_in(wanted.name, password) else password
    missing = tuple(role for role in wanted.roles if role not in (present or ()))
    return UserChange(wanted.name, present is not None, missing, password)


def _set_password(users: Users, user: str, password: str) -> None:
    users.set_password(user, password)
    if users.authentication_is_on() and not users.can_log_in(user, password):
        raise PasswordNotTaken(
            f"user {user} was added without a password, and etcd gives it none afterwards; if it is to have one: "
            f"etcdctl user delete {user}, and then this again"
        )


def _is_of(keys: Keys, role: str) -> bool:
    """Whether a role is one of ours for an environment."""
    kind = role.removeprefix(namespace(keys)) if role.startswith(namespace(keys)) else ""
    return kind.startswith(("reporter-", "owner-", "operator-"))


def _ordered(permissions: Iterable[Permission]) -> tuple[Permission, ...]:
    return tuple(sorted(permissions))
