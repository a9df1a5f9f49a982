"""The output of ``coordinator secure``: roles as a table, ``etcdctl`` commands, and the changes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coordinator.cli.output import people, print_json, say, table

if TYPE_CHECKING:
    from coordinator.cli.logins import Login
    from coordinator.store.keys import Keys
    from coordinator.store.roles import Permission, Role
    from coordinator.store.securing import Changes


def print_description(keys: Keys, roles: Sequence[Role], logins: Sequence[Login], *, as_json: bool) -> None:
    """The permissions of every role, and the commands that would create them."""
    commands = [*_commands_for_roles(roles), *_commands_for_users(roles, logins)]
    if as_json:
        print_json({"prefix": keys.prefix, "roles": [_role_as_json(role) for role in roles], "commands": commands})
        return
    people().print(table("role", "for", "may read", "may write", rows=(_row(keys, role) for role in roles)))
    say(f"* is everything that begins so; all keys are below {keys.root}")
    say("")
    say("# coordinator secure --apply does this, or, as a user with the role root:")
    for command in commands:
        say(command)
    if not logins:
        say("# user add asks for a password; a user with --no-password gets in by a certificate with that CN")
    elif any(login.password is not None for login in logins):
        say("# etcdctl takes a password up to its first blank; coordinator secure --apply takes it whole")


def print_changes(
    changes: Changes, held: Mapping[str, Sequence[str]], *, written: bool, enabled: bool | None, as_json: bool
) -> None:
    """The changes that were made, or would be made.

    :param held: the users of each role.
    :param written: the changes were made.
    :param enabled: authentication was turned on just now; ``None``: this was not requested.
    """
    if as_json:
        print_json(
            {
                "ok": written or not changes,
                "written": written and bool(changes),
                "roles": [
                    {
                        "role": change.role,
                        "added": not change.present,
                        "granted": [_permission_as_json(one) for one in change.granted],
                        "revoked": [_permission_as_json(one) for one in change.revoked],
                    }
                    for change in changes.roles
                ],
                "users": [
                    {
                        "user": change.user,
                        "added": not change.present,
                        "roles": list(change.roles),
                        "password_set": change.password is not None,
                    }
                    for change in changes.users
                ],
                "left_alone": list(changes.left_alone),
                "held_by": {role: list(users) for role, users in held.items()},
                "authentication_enabled": bool(enabled),
            }
        )
        return
    for line in _in_words(changes, written=written):
        say(line)
    if not changes:
        say("nothing was written: etcd has it all just so" if written else "etcd has it all just so")
    for role in changes.left_alone:
        delete = shlex.join(("etcdctl", "role", "delete", role))
        say(f"left alone: role {role}, which nobody asked for now; remove it with: {delete}")
    for role, users in held.items():
        if not users:
            say(f"nobody has the role {role}")
    if enabled is not None:
        say("authentication is on from now on" if enabled else "authentication was on already")


def _in_words(changes: Changes, *, written: bool) -> Iterator[str]:
    would = "" if written else "would be "
    for role in changes.roles:
        if not role.present:
            yield f"role {role.role}: {would}added"
        for permission in role.granted:
            yield f"role {role.role}: {would}granted {permission}"
        for permission in role.revoked:
            yield f"role {role.role}: {would}revoked {permission}"
    for user in changes.users:
        if not user.present:
            how = (
                "with a password" if user.password is not None else "without a password, for a certificate with its CN"
            )
            yield f"user {user.user}: {would}added, {how}"
        elif user.password is not None:
            yield f"user {user.user}: {would}given this password"
        for name in user.roles:
            yield f"user {user.user}: {would}granted role {name}"


def _row(keys: Keys, role: Role) -> tuple[str, str, str, str]:
    from coordinator.store.roles import Access

    def named(*accesses: Access) -> str:
        found = sorted(str(one.keys).removeprefix(keys.root) for one in role.permissions if one.access in accesses)
        return ", ".join(found) or "nothing"

    reads, writes = named(Access.READ, Access.READ_WRITE), named(Access.WRITE, Access.READ_WRITE)
    return role.name, role.purpose, reads, writes


def _commands_for_roles(roles: Iterable[Role]) -> Iterator[str]:
    for role in roles:
        yield shlex.join(("etcdctl", "role", "add", role.name))
        for permission in sorted(role.permissions):
            keys = permission.keys
            key = ("--prefix", keys.prefix) if keys.prefix is not None else (keys.first, *filter(None, (keys.end,)))
            yield shlex.join(("etcdctl", "role", "grant-permission", role.name, str(permission.access), *key))


def _commands_for_users(roles: Iterable[Role], logins: Sequence[Login]) -> Iterator[str]:
    if not logins:  # a suggestion
        for role in roles:
            yield shlex.join(("etcdctl", "user", "add", role.name))
            yield shlex.join(("etcdctl", "user", "grant-role", role.name, role.name))
    for login in logins:
        add = ("etcdctl", "user", "add", login.user)
        source = login.password
        if source is None:
            yield shlex.join((*add, "--no-password"))
        elif source.variable is not None:
            yield f"{shlex.join(('printenv', source.variable))} | {shlex.join((*add, '--interactive=false'))}"
        else:
            yield f"{shlex.join((*add, '--interactive=false'))} < {shlex.quote(str(source.file))}"
        for name in login.roles:
            yield shlex.join(("etcdctl", "user", "grant-role", login.user, name))


def _role_as_json(role: Role) -> dict[str, Any]:
    may = [_permission_as_json(one) for one in sorted(role.permissions)]
    return {"role": role.name, "for": role.purpose, "may": may}


def _permission_as_json(permission: Permission) -> dict[str, str]:
    return {"access": str(permission.access), "key": permission.keys.first, "range_end": permission.keys.end}
