"""etcd's own users and roles, for its administrator: what ``etcdctl role`` and ``etcdctl user`` do.

It uses etcd through :class:`coordinator.store.members.Members`, as the store does, and likewise only etcd3's stubs.
Their messages are those of etcd 3.0: later fields are written as bytes where they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from coordinator.config.etcd import EtcdSettings
from coordinator.store.failures import details_of
from coordinator.store.members import Member, Members
from coordinator.store.port import AccessDenied, StoreError
from coordinator.store.protobuf import import_etcd3
from coordinator.store.roles import Access, KeyRange, Permission

ROOT = "root"
"""The user, and the role, that may do everything. etcd turns authentication on only if both exist."""

_NO_PASSWORD = b"\x1a\x02\x08\x01"
"""``AuthUserAddRequest{options: {no_password: true}}``: field 3, since etcd 3.4."""

_TYPES = (Access.READ, Access.WRITE, Access.READ_WRITE)
"""By their numbers in ``authpb.Permission.Type``."""


class Users:
    """The users and roles of an etcd. Use as a context manager.

    Every method may raise :class:`coordinator.store.port.StoreUnavailable`, and :class:`AccessDenied` if authentication
    is on and the user is not root.

    :raises ConfigurationError: certificates or the password cannot be read.
    """

    def __init__(self, settings: EtcdSettings) -> None:
        self._members = Members(settings)
        self._rpc = import_etcd3().etcdrpc

    def __enter__(self) -> Users:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._members.close()

    def authentication_is_on(self) -> bool:
        """Whether authentication is on. Every user may ask this, in any version."""
        try:
            # With an empty name: etcd checks first whether authentication is on. (AuthStatus is for root only, and
            # exists since 3.5.)
            self._log_in("", "")
        except AccessDenied:
            return True
        except StoreError as error:
            if _says(error, "authentication is not enabled"):
                return False
            raise
        return True

    def can_log_in(self, user: str, password: str) -> bool:
        """Whether this is the user's password. etcd checks it only while authentication is on."""
        try:
            self._log_in(user, password)
        except AccessDenied:
            return False
        return True

    def enable_authentication(self) -> None:
        self._ask("AuthEnable", self._rpc.AuthEnableRequest(), doing="turning authentication on")

    def roles(self) -> list[str]:
        answer = self._ask("RoleList", self._rpc.AuthRoleListRequest(), doing="listing roles", repeatable=True)
        return list(answer.roles)

    def permissions_of(self, role: str) -> frozenset[Permission] | None:
        """What a role allows; ``None``: there is no such role."""
        request = self._rpc.AuthRoleGetRequest(role=role)
        try:
            answer = self._ask("RoleGet", request, doing=f"reading role {role}", repeatable=True)
        except StoreError as error:
            if _says(error, "role name not found"):
                return None
            raise
        return frozenset(map(_permission, answer.perm))

    def add_role(self, role: str) -> None:
        self._ask("RoleAdd", self._rpc.AuthRoleAddRequest(name=role), doing=f"adding role {role}")

    def grant(self, role: str, permission: Permission) -> None:
        """Grant a permission. It replaces the present one on the same range."""
        request = self._rpc.AuthRoleGrantPermissionRequest(name=role)
        request.perm.key, request.perm.range_end = map(_encoded, (permission.keys.first, permission.keys.end))
        request.perm.permType = _TYPES.index(permission.access)
        self._ask("RoleGrantPermission", request, doing=f"granting {permission} to role {role}", repeatable=True)

    def revoke(self, role: str, keys: KeyRange) -> None:
        """Revoke the permission on a range.

        :raises StoreError: a key of the range is not UTF-8, which etcd3's message cannot hold.
        """
        request = self._rpc.AuthRoleRevokePermissionRequest(role=role)
        try:
            request.key, request.range_end = keys.first, keys.end
        except (ValueError, UnicodeError) as error:
            raise StoreError(
                f"role {role} has a permission on {keys}, which is no UTF-8 and cannot be revoked from here; use "
                "etcdctl role revoke-permission"
            ) from error
        self._ask("RoleRevokePermission", request, doing=f"revoking {keys} from role {role}")

    def users(self) -> list[str]:
        answer = self._ask("UserList", self._rpc.AuthUserListRequest(), doing="listing users", repeatable=True)
        return list(answer.users)

    def roles_of(self, user: str) -> frozenset[str] | None:
        """The roles of a user; ``None``: there is no such user."""
        request = self._rpc.AuthUserGetRequest(name=user)
        try:
            answer = self._ask("UserGet", request, doing=f"reading user {user}", repeatable=True)
        except StoreError as error:
            if _says(error, "user name not found"):
                return None
            raise
        return frozenset(answer.roles)

    def add_user(self, user: str, password: str | None) -> None:
        """:param password: ``None``: this user can log in only by a client certificate whose CN is its name."""
        request = self._rpc.AuthUserAddRequest(name=user, password=password)
        if password is None:
            request.MergeFromString(_NO_PASSWORD)
        self._ask("UserAdd", request, doing=f"adding user {user}")

    def set_password(self, user: str, password: str) -> None:
        """Change a user's password. etcd ignores this, without an error, if the user was added without a password."""
        request = self._rpc.AuthUserChangePasswordRequest(name=user, password=password)
        self._ask("UserChangePassword", request, doing=f"setting the password of user {user}", repeatable=True)

    def grant_role(self, user: str, role: str) -> None:
        request = self._rpc.AuthUserGrantRoleRequest(user=user, role=role)
        self._ask("UserGrantRole", request, doing=f"granting role {role} to user {user}", repeatable=True)

    def _log_in(self, user: str, password: str) -> None:
        request = self._rpc.AuthenticateRequest(name=user, password=password)
        self._ask("Authenticate", request, doing=f"logging in as {user or 'nobody'}", repeatable=True)

    def _ask(self, name: str, request: object, *, doing: str, repeatable: bool = False) -> Any:
        method: Callable[[Member], Any] = lambda member: getattr(member.authentication, name)  # noqa: E731
        return self._members.call(method, request, doing=doing, repeatable=repeatable)


def _says(error: StoreError, text: str) -> bool:
    return error.__cause__ is not None and text in details_of(error.__cause__)


def _permission(perm: Any) -> Permission:
    first, end = (part.decode("utf-8", "surrogateescape") for part in (perm.key, perm.range_end))
    return Permission(KeyRange(first, end), _TYPES[perm.permType])


def _encoded(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")
