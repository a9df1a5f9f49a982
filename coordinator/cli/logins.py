"""Users of etcd on the command line: a name, its roles, and the source of its password; never the password itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from coordinator.config.credentials import CredentialSource
    from coordinator.config.etcd import EtcdSettings
    from coordinator.store.keys import Keys
    from coordinator.store.roles import Role
    from coordinator.store.securing import WantedUser


@dataclass(frozen=True, slots=True)
class Login:
    """:ivar password: its source; ``None``: the user has none."""

    user: str
    roles: tuple[str, ...]
    password: CredentialSource | None = None

    def wanted(self) -> WantedUser:
        """:raises ConfigurationError: the password cannot be read."""
        from coordinator.store.securing import WantedUser

        return WantedUser(self.user, self.roles, None if self.password is None else self.password.read())


def passwords_of(in_variables: Iterable[str], in_files: Iterable[str]) -> dict[str, CredentialSource]:
    """The sources of users' passwords.

    :raises typer.BadParameter: an option is not ``USER=PLACE``, or a user has two.
    """
    from coordinator.config.credentials import CredentialSource

    found: dict[str, CredentialSource] = {}
    for option, given in (("--password-env", in_variables), ("--password-file", in_files)):
        for text in given:
            user, place = _pair(text, option)
            if user in found:
                raise typer.BadParameter(f"a second password for {user!r}", param_hint=option)
            variable, file = (place, None) if option == "--password-env" else (None, Path(place))
            found[user] = CredentialSource(f"user {user}", "password", variable=variable, file=file)
    return found


def logins_of(
    keys: Keys, roles: Iterable[Role], given: Iterable[str], passwords: Mapping[str, CredentialSource]
) -> list[Login]:
    """The users to create. :raises typer.BadParameter: an unknown role, or the user root."""
    from coordinator.store.roles import namespace
    from coordinator.store.users import ROOT

    names = {role.name.removeprefix(namespace(keys)): role.name for role in roles}
    found: dict[str, list[str]] = {}
    for text in given:
        user, role = _pair(text, "--user")
        short = role.removeprefix(namespace(keys))
        if short not in names:
            raise typer.BadParameter(
                f"{text!r}: expected one of the roles {', '.join(names)}, found {role!r}", param_hint="--user"
            )
        if user == ROOT:
            raise typer.BadParameter("root may do everything, and needs no role", param_hint="--user")
        found.setdefault(user, []).append(names[short])
    return [Login(user, tuple(dict.fromkeys(each)), passwords.get(user)) for user, each in found.items()]


def etcd_as(settings: EtcdSettings, user: str | None, passwords: Mapping[str, CredentialSource]) -> EtcdSettings:
    """The settings to connect as another user.

    :param user: ``None``: the user of the settings. Without a password here, a client certificate identifies the user.
    """
    if user is None:
        return settings
    source = passwords.get(user)
    return settings.model_copy(
        update={
            "username": None if source is None else user,
            "password_env": None if source is None else source.variable,
            "password_file": None if source is None else source.file,
            "password_command": None,
        }
    )


def _pair(text: str, option: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not (left.strip() and equals and right.strip()):
        # The text is not repeated: it may contain a password.
        expected = "USER=ROLE" if option == "--user" else "USER=VARIABLE" if option == "--password-env" else "USER=PATH"
        raise typer.BadParameter(f"expected {expected}", param_hint=option)
    return left.strip(), right.strip()
