"""A stage whose etcd asks who somebody is: the roles of ``coordinator secure``, and a user for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coordinator.config.etcd import EtcdSettings
from coordinator.store.roles import reporter, watcher
from coordinator.store.securing import WantedUser, carry_out, enable_authentication, find_changes
from coordinator.store.users import ROOT, Users
from tests.etcd_cluster import Cluster
from tests.faults.stage import DRILL, ENVIRONMENTS, ETCD_TIMEOUT, REPORTERS, WATCHERS, Stage
from tests.logins import logins
from tests.signed_tokens import signed_tokens


class GuardedStage(Stage):
    """The drill itself is root, the watchers are one user, the reporters another one.

    :param token_life: seconds after which a token of etcd ends, however often it is used (a JWT); ``None``: etcd's own
        kind of token, which lives on as long as it is used.
    """

    def __init__(self, directory: Path, *, token_life: int | None = None, **options: Any) -> None:
        self._token_life = token_life
        super().__init__(directory, **options)

    def _make_cluster(self, members: int, arguments: Sequence[str]) -> Cluster:
        if self._token_life is not None:
            arguments = (*arguments, signed_tokens(self.directory, life=self._token_life))
        return super()._make_cluster(members, arguments)

    def _prepare_etcd(self) -> None:
        roles = (watcher(self.keys), *(reporter(self.keys, environment) for environment in ENVIRONMENTS))
        names = {WATCHERS: [roles[0].name], REPORTERS: [role.name for role in roles[1:]]}
        for who in (DRILL, WATCHERS, REPORTERS):
            self.password_file(who).write_text(f"the first password of {who}")
        people = [WantedUser(who, tuple(granted), self._password(who)) for who, granted in names.items()]
        with Users(EtcdSettings(endpoints=self.cluster.endpoints)) as users:
            users.add_user(ROOT, self._password(DRILL))
            users.add_role(ROOT)
            users.grant_role(ROOT, ROOT)
            carry_out(users, find_changes(users, self.keys, roles, people))
            assert enable_authentication(users)

    def _etcd_settings(self, who: str, endpoints: list[str]) -> EtcdSettings:
        return EtcdSettings(
            endpoints=endpoints,
            timeout=ETCD_TIMEOUT,
            username=ROOT if who == DRILL else who,
            password_file=self.password_file(who),
        )

    def password_file(self, who: str) -> Path:
        """Where the password of one of the parties stands."""
        return self.directory / f"{who}.etcd-password"

    def _password(self, who: str) -> str:
        return self.password_file(who).read_text()

    def users(self) -> Users:
        """The users of its etcd, for its administrator. Use as a context manager."""
        return Users(self.etcd_settings)

    def logins(self) -> int:
        """How often somebody has logged in."""
        return sum(map(logins, self.cluster.endpoints))
