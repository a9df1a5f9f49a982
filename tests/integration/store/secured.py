"""An etcd that asks who somebody is, with the roles of a coordinator and a user for each."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from coordinator.config.etcd import EtcdSettings
from coordinator.store import securing
from coordinator.store.connection import EtcdStore, connect
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.keys import Keys
from coordinator.store.protobuf import import_etcd3
from coordinator.store.roles import roles_of
from coordinator.store.users import ROOT, Users

USERS = {
    "watcher": "watcher",
    "rep": "reporter-team_b",
    "rep-default": "reporter-default",
    "sensors": "sensors-team_b",
    "own": "owner-team_b",
    "ops": "operator",
    "ops-b": "operator-team_b",
    "view": "viewer",
}
"""Users and their roles. There is one more, ``nobody``, without any."""


CHEAP_PASSWORDS = "--bcrypt-cost=4"
"""Each step more doubles the time of a login."""


class SecuredEtcd(EmbeddedEtcd):
    """Use as a context manager, then call :meth:`secure`."""

    keys = Keys()

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, arguments=(CHEAP_PASSWORDS,))

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def secure(self) -> None:
        """Add root, the roles and the users, and turn authentication on: all by what ``coordinator secure`` does."""
        roles = roles_of(
            self.keys, reporters=("default", "team_b"), owners=("default", "team_b"), operators=("team_b",)
        )
        people = [
            securing.WantedUser(user, (f"coordinator-{role}",), self.password_of(user)) for user, role in USERS.items()
        ]
        people.append(securing.WantedUser("nobody", (), self.password_of("nobody")))
        with Users(EtcdSettings(endpoints=[self.endpoint])) as users:
            add_root(users, self.password_of(ROOT))
            securing.carry_out(users, securing.find_changes(users, self.keys, roles, people))
            assert securing.enable_authentication(users)

    def password_of(self, user: str) -> str:
        return f"secret of {user}"

    def settings_of(self, user: str) -> EtcdSettings:
        """How a user connects; its password stands in a file."""
        file = self.data_dir / f"{user}.password"
        file.write_text(self.password_of(user))
        return EtcdSettings(endpoints=[self.endpoint], timeout=5, username=user, password_file=file)

    def connect(self, user: str) -> EtcdStore:
        return connect(self.settings_of(user))

    def config(self, user: str, more: str = "") -> Path:
        """A coordinator.toml with which a user works.

        :param more: environments, and whatever else.
        """
        settings = self.settings_of(user)
        file = self.data_dir / f"{user}.toml"
        lines = (
            f'[etcd]\nendpoints = ["{self.endpoint}"]\nusername = "{user}"\npassword_file = "{settings.password_file}"'
        )
        file.write_text(f"{lines}\n{more}")
        return file

    def version(self) -> tuple[int, ...]:
        with import_etcd3().client(host="127.0.0.1", port=self.port) as client:
            answer = client.maintenancestub.Status(import_etcd3().etcdrpc.StatusRequest(), timeout=10)
            return tuple(map(int, answer.version.split(".")))


def add_root(users: Users, password: str | None) -> None:
    """What has to be there before authentication can be turned on."""
    users.add_user(ROOT, password)
    users.add_role(ROOT)
    users.grant_role(ROOT, ROOT)
