"""``coordinator dags deploy``: to a directory and to a real S3-compatible server, interrupted at every step."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest
import requests
from s3fs import S3FileSystem

from coordinator.cli.failures import ExitCode
from coordinator.dags.configuration import read_configuration
from coordinator.dags.deploying import DeployError, Deployment, Target, TargetRefused, carry_out, look, open_target
from coordinator.dags.deploying.records import CLAIM, MANIFEST, Claim, writes_name
from coordinator.dags.deploying.target import _Directory
from coordinator.dags.generating import render
from coordinator.errors import ConfigurationError
from tests.command_line import Cli
from tests.command_line import cli as cli
from tests.dags_project import TEMPLATE, contents, project

pytestmark = pytest.mark.slow

BEFORE = {"orders.py": "1", "customers.py": "1", "gone.py": "1", "lib/sql/a.sql": "1"}
AFTER = {"orders.py": "2", "customers.py": "1", "lib/sql/a.sql": "2", "new.py": "1", ".airflowignore": "lib\n"}


def put(directory: Path, files: dict[str, str]) -> Path:
    """A directory with these files and no others."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def there(target: str, *, records: bool = False) -> dict[str, str]:
    """Every file of a target."""
    opened = open_target(target)
    files = {path: content.decode() for path, content in opened.read(opened.sizes()).items()}
    return {path: text for path, text in files.items() if records or not path.startswith(".coordinator-dags.")}


def deploy(source: Path, target: str | Target, *, resume: bool = False) -> None:
    """Look and carry out."""
    opened = open_target(target) if isinstance(target, str) else target
    carry_out(look(source, opened), source, opened, by="me", resume=resume)


@pytest.mark.promise("dags-deploy")
def test_the_plan_is_shown_and_carried_out(cli: Cli, tmp_path: Path, target: str) -> None:
    source = put(tmp_path / "source", BEFORE)
    (source / "__pycache__").mkdir()
    (source / "__pycache__/orders.cpython-311.pyc").touch()
    (source / ".hidden").touch()
    open_target(target).write("of_others.py", b"theirs")
    result = cli("dags", "deploy", source, target, "--dry-run")
    assert result.exit_code == ExitCode.OK, result.stderr
    assert [line.split() for line in result.stdout.splitlines()[2:6]] == [
        ["create", "lib/sql/a.sql"],
        ["create", "customers.py"],
        ["create", "gone.py"],
        ["create", "orders.py"],
    ]
    assert f"{target}: 4 to create, 1 of somebody else, left alone" in result.stdout
    assert there(target, records=True) == {"of_others.py": "theirs"}

    result = cli("dags", "deploy", source, target, "--yes")
    assert result.exit_code == ExitCode.OK, result.stderr
    assert there(target) == {**BEFORE, "of_others.py": "theirs"}

    put(source, AFTER)
    result = cli("dags", "deploy", source, target, "--yes", "--json")
    said = json.loads(result.stdout)
    assert {one["path"]: one["action"] for one in said["changes"]} == {
        ".airflowignore": "create",
        "lib/sql/a.sql": "update",
        "new.py": "create",
        "orders.py": "update",
        "gone.py": "remove",
    }
    assert (said["ok"], said["deployed"], said["unchanged"], said["foreign"]) == (True, True, 1, ["of_others.py"])
    assert there(target) == {**AFTER, "of_others.py": "theirs"}
    assert there(target, records=True).keys() - there(target).keys() == {MANIFEST}

    result = cli("dags", "deploy", source, target, "--yes")
    assert result.stdout == f"{target}: 5 unchanged, 1 of somebody else, left alone\n"


@pytest.mark.promise("dags-deploy")
def test_what_somebody_else_wrote_or_changed_is_refused_with_the_remedy(cli: Cli, tmp_path: Path, target: str) -> None:
    source = put(tmp_path / "source", BEFORE)
    deploy(source, target)
    opened = open_target(target)
    changed = {"orders.py": b"a hotfix in the bucket", "gone.py": b"another", "new.py": b"theirs"}
    for path, content in changed.items():
        opened.write(path, content)
    opened.remove("customers.py")
    put(source, AFTER)
    result = cli("dags", "deploy", source, target, "--yes")
    assert result.exit_code == ExitCode.PROBLEM
    for path, why in {
        "orders.py": "somebody changed it since it was deployed; to keep what is there, copy it into the source; to",
        "gone.py": "somebody changed it since it was deployed; it is not in the source any more; to lose it, pass",
        "new.py": "it was not deployed from here; to keep what is there, copy it into the source",
    }.items():
        assert any(line.split()[:2] == ["refused", path] and why in line for line in result.stdout.splitlines())
    assert "nothing is deployed" in result.stdout
    files = there(target)
    assert {path: files[path].encode() for path in changed} == changed
    assert files["lib/sql/a.sql"] == "1", "nothing else was deployed either"

    (source / "orders.py").write_bytes(changed["orders.py"])  # the remedies
    for path in ("gone.py", "new.py"):
        opened.remove(path)
    assert cli("dags", "deploy", source, target, "--yes").exit_code == ExitCode.OK
    assert there(target) == {**AFTER, "orders.py": "a hotfix in the bucket"}


class Interrupted(BaseException):
    """As Ctrl-C."""


class Steps:
    """A target in which something happens at one of the steps that change something."""

    def __init__(self, target: Target, happens: Callable[[int, str], None]) -> None:
        self._target, self._happens = target, happens
        self.name, self.directory = target.name, target.directory
        self._steps = itertools.count()

    def sizes(self) -> dict[str, int]:
        return self._target.sizes()

    def read(self, paths: Collection[str]) -> dict[str, bytes]:
        return self._target.read(paths)

    def write(self, path: str, content: bytes) -> None:
        self._step(lambda: self._target.write(path, content))

    def create(self, path: str, content: bytes) -> bool:
        created = []
        self._step(lambda: created.append(self._target.create(path, content)))
        return created[0]

    def remove(self, path: str) -> None:
        self._step(lambda: self._target.remove(path))

    def _step(self, act: Callable[[], None]) -> None:
        step = next(self._steps)
        self._happens(step, "before")
        act()
        self._happens(step, "after")


STEPS = 10
"""That change something: the claim, what it writes, five files, the manifest, the end of both records."""


@pytest.mark.promise("dags-deploy")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", range(STEPS))
def test_a_deploy_that_was_interrupted_is_gone_on_from_there(tmp_path: Path, target: str, step: int, when: str) -> None:
    source = put(tmp_path / "source", BEFORE)
    deploy(source, target)
    open_target(target).write("of_others.py", b"theirs")
    put(source, AFTER)

    def interrupt(at: int, moment: str) -> None:
        if (at, moment) == (step, when):
            raise Interrupted

    with pytest.raises(Interrupted):
        deploy(source, Steps(open_target(target), interrupt))
    shown = look(source, open_target(target))
    assert shown.plan.refused == ()
    assert shown.is_done == ((step, when) == (STEPS - 1, "after"))
    deploy(source, target, resume=True)
    assert there(target) == {**AFTER, "of_others.py": "theirs"}
    assert there(target, records=True).keys() - there(target).keys() == {MANIFEST}
    assert look(source, open_target(target)).is_done


def test_there_are_as_many_steps_as_are_interrupted(tmp_path: Path, target: str) -> None:
    source = put(tmp_path / "source", BEFORE)
    deploy(source, target)
    put(source, AFTER)
    steps: set[int] = set()
    deploy(source, Steps(open_target(target), lambda at, _: steps.add(at)))
    assert steps == set(range(STEPS))


def test_an_interrupted_deploy_may_be_followed_by_another_source(tmp_path: Path, target: str) -> None:
    """Back to what was there before, as people do."""
    source = put(tmp_path / "source", BEFORE)
    deploy(source, target)
    put(source, AFTER)

    def interrupt(at: int, moment: str) -> None:
        if (at, moment) == (5, "after"):
            raise Interrupted

    with pytest.raises(Interrupted):
        deploy(source, Steps(open_target(target), interrupt))
    put(source, BEFORE)
    with pytest.raises(Interrupted):
        deploy(source, Steps(open_target(target), interrupt), resume=True)
    deploy(source, target, resume=True)
    assert there(target) == BEFORE


KILLED = """
import os, signal, sys
from pathlib import Path
from coordinator.dags.deploying import carry_out, look, open_target
from tests.integration.dags.test_deploying import Steps

source, url, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
def kill(at, moment):
    if (at, moment) == (step, "before"):
        os.kill(os.getpid(), signal.SIGKILL)
target = Steps(open_target(url), kill)
carry_out(look(source, target), source, target, by="me", resume=False)
"""


@pytest.mark.parametrize("step", [1, 2, 4, 7, 8, 9])
def test_a_deploy_that_was_killed_here_is_gone_on_from_without_asking(
    cli: Cli, tmp_path: Path, target: str, step: int
) -> None:
    source = put(tmp_path / "source", BEFORE)
    deploy(source, target)
    put(source, AFTER)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(source), target, str(step)], check=False)
    assert killed.returncode == -signal.SIGKILL
    result = cli("dags", "deploy", source, target, "--yes")
    assert result.exit_code == ExitCode.OK, result.stderr
    assert " was interrupted: its process has ended; this one goes on from there\n" in result.stdout
    assert there(target) == AFTER


@pytest.mark.promise("dags-deploy")
@pytest.mark.parametrize("step", range(STEPS - 1))
def test_of_two_deploys_at_once_the_second_is_refused(tmp_path: Path, target: str, step: int) -> None:
    source, other = put(tmp_path / "source", BEFORE), put(tmp_path / "other", {"orders.py": "of the other"})
    deploy(source, target)
    put(source, AFTER)
    refused = []

    def second(at: int, moment: str) -> None:
        if (at, moment) == (step, "after"):
            with pytest.raises(
                DeployError, match=r"me began a deploy at .*, and it still runs \(process \d+ of this machine\); wait"
            ) as e:
                deploy(other, target)
            refused.append(e)

    deploy(source, Steps(open_target(target), second))
    assert len(refused) == 1
    assert there(target) == AFTER


@pytest.mark.parametrize("step", range(1, STEPS - 1))
def test_a_deploy_that_another_one_takes_over_from_stops(tmp_path: Path, target: str, step: int) -> None:
    source, other = put(tmp_path / "source", BEFORE), put(tmp_path / "other", {"orders.py": "of the other"})
    deploy(source, target)
    put(source, AFTER)

    def take_over(at: int, moment: str) -> None:
        if (at, moment) == (step - 1, "after"):
            deploy(other, target, resume=True)

    with pytest.raises(DeployError, match="this deploy stops, as somebody removed its claim; nothing more was changed"):
        deploy(source, Steps(open_target(target), take_over))
    assert there(target) == {"orders.py": "of the other"}


def test_a_write_that_was_on_its_way_when_another_deploy_took_over_is_shown(tmp_path: Path, target: str) -> None:
    """Nothing can hold it back. The next look shows it as what it is: not what was deployed last."""
    source, other = put(tmp_path / "source", {"orders.py": "late"}), put(tmp_path / "other", {"orders.py": "theirs"})

    def take_over(at: int, moment: str) -> None:
        if (at, moment) == (2, "before"):
            deploy(other, target, resume=True)

    with pytest.raises(DeployError, match="this deploy stops"):
        deploy(source, Steps(open_target(target), take_over))
    assert there(target) == {"orders.py": "late"}
    assert [one.path for one in look(other, open_target(target)).plan.refused] == ["orders.py"]


@pytest.mark.parametrize("moment", ["source", "target", "deployed"])
def test_what_changed_since_the_plan_was_shown_is_not_carried_out(tmp_path: Path, target: str, moment: str) -> None:
    source, opened = put(tmp_path / "source", BEFORE), open_target(target)
    shown = look(source, opened)
    if moment == "source":
        put(source, AFTER)
    elif moment == "target":
        opened.write("orders.py", b"theirs")
    else:
        deploy(put(tmp_path / "other", AFTER), target)
    before = there(target)
    with pytest.raises(
        DeployError, match="source or target changed since the plan was made; nothing was changed: look"
    ):
        carry_out(shown, source, opened, by="me", resume=False)
    assert there(target) == before
    assert CLAIM not in there(target, records=True)


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_text("3")])
def test_a_file_that_changes_while_it_is_deployed_is_said(
    tmp_path: Path, target: str, change: Callable[[Path], object]
) -> None:
    source = put(tmp_path / "source", {"a.py": "1", "b.py": "1"})

    def edit(at: int, moment: str) -> None:
        if (at, moment) == (2, "after"):
            change(source / "b.py")

    with pytest.raises(ConfigurationError, match=r"b\.py: changed while it was deployed; deploy again"):
        deploy(source, Steps(open_target(target), edit))
    put(source, {"a.py": "1", "b.py": "2"})
    deploy(source, target, resume=True)
    assert there(target) == {"a.py": "1", "b.py": "2"}


def test_two_who_begin_at_the_same_moment(tmp_path: Path, target: str) -> None:
    """Both have looked; one claims it first."""
    source, other = put(tmp_path / "source", BEFORE), put(tmp_path / "other", AFTER)
    shown: Deployment = look(other, open_target(target))

    def second(at: int, moment: str) -> None:
        if (at, moment) == (2, "before"):
            with pytest.raises(DeployError, match="another deploy has begun meanwhile; nothing more was changed: look"):
                carry_out(shown, other, open_target(target), by="me", resume=False)

    deploy(source, Steps(open_target(target), second))
    assert there(target) == BEFORE


def test_records_that_lead_out_of_the_target_are_not_followed(cli: Cli, tmp_path: Path, target: str) -> None:
    source = put(tmp_path / "source", BEFORE)
    manifest = {"files": {"../precious": "a" * 64}, "by": "", "at": ""}
    open_target(target).write(MANIFEST, json.dumps(manifest).encode())
    result = cli("dags", "deploy", source, target, "--yes")
    assert result.exit_code == ExitCode.PROBLEM
    assert f"{MANIFEST} cannot be read: expected what 'coordinator dags deploy' writes; bring an older" in result.stderr


@pytest.mark.promise("dags-deploy")
@pytest.mark.parametrize("leads", ["../elsewhere", "theirs", "/nowhere"])
@pytest.mark.parametrize("path", ["lib/a.py", "lib/sql/a.sql", "lib"])
def test_a_link_in_a_target_is_not_followed(cli: Cli, tmp_path: Path, path: str, leads: str) -> None:
    source, target = put(tmp_path / "source", {path: "x", "b.py": "x"}), put(tmp_path / "target", {"theirs/a.py": "y"})
    elsewhere = put(tmp_path / "elsewhere", {"a.py": "y"})
    (target / "lib").symlink_to(leads)
    result = cli("dags", "deploy", source, target, "--yes")
    assert result.exit_code == ExitCode.PROBLEM
    why = "it was not deployed from here" if path == "lib" else "lib is in the way: the same name cannot be a file and"
    assert any(line.split()[:2] == ["refused", path] and why in line for line in result.stdout.splitlines())
    assert contents(elsewhere) == {"a.py": b"y"}
    assert [one.name for one in elsewhere.iterdir()] == ["a.py"]
    assert {one.name for one in target.iterdir()} == {"theirs", "lib"}
    assert contents(target / "theirs") == {"a.py": b"y"}
    assert os.readlink(target / "lib") == leads


def test_a_link_that_appears_during_a_deploy_is_not_followed(tmp_path: Path) -> None:
    source, target = put(tmp_path / "source", {"lib/x/a.py": "x", "b.py": "x"}), put(tmp_path / "target", {})
    elsewhere = put(tmp_path / "elsewhere", {})

    def link(at: int, moment: str) -> None:
        if (at, moment) == (0, "after"):
            (target / "lib").symlink_to(elsewhere)

    opened = Steps(open_target(str(target)), link)
    with pytest.raises(DeployError, match="source or target changed since the plan was made"):
        deploy(source, opened)
    with pytest.raises(DeployError, match=r"a link in .* is on the way; nothing is written behind it: remove the link"):
        opened.write("lib/x/a.py", b"x")
    assert list(elsewhere.iterdir()) == []


def test_a_link_to_what_was_deployed_is_somebody_elses(tmp_path: Path) -> None:
    source, target = put(tmp_path / "source", {"a.py": "1"}), tmp_path / "target"
    deploy(source, str(target))
    (target / "a.py").rename(tmp_path / "a.py")
    (target / "a.py").symlink_to(tmp_path / "a.py")
    put(source, {"a.py": "2"})
    assert [one.path for one in look(source, open_target(str(target))).plan.refused] == ["a.py"]


@pytest.mark.parametrize(
    ("before", "after"), [("sql", "sql/a/b.sql"), ("sql/a/b.sql", "sql"), ("sql/a", "sql/a/b.sql")]
)
def test_a_file_gives_way_to_a_directory_and_a_directory_to_a_file(
    cli: Cli, tmp_path: Path, target: str, before: str, after: str
) -> None:
    source = put(tmp_path / "source", {before: "1", "b.py": "1"})
    deploy(source, target)
    put(source, {after: "2", "b.py": "1"})
    result = cli("dags", "deploy", source, target, "--yes")
    assert result.exit_code == ExitCode.OK, result.stderr
    assert there(target) == {after: "2", "b.py": "1"}


@pytest.mark.promise("dags-deploy")
@pytest.mark.parametrize(("theirs", "ours"), [("sql", "sql/a.sql"), ("sql/a.sql", "sql")])
def test_what_somebody_elses_file_is_in_the_way_of_is_refused(
    cli: Cli, tmp_path: Path, target: str, theirs: str, ours: str
) -> None:
    open_target(target).write(theirs, b"theirs")
    result = cli("dags", "deploy", put(tmp_path / "source", {ours: "x", "b.py": "x"}), target, "--yes")
    assert result.exit_code == ExitCode.PROBLEM
    assert f"{theirs} is in the way: the same name cannot be a file and a directory; rename it in the" in result.stdout
    assert there(target, records=True) == {theirs: "theirs"}


def test_directories_that_are_empty_then_are_removed(tmp_path: Path) -> None:
    source, target = put(tmp_path / "source", BEFORE), tmp_path / "target"
    deploy(source, str(target))
    (target / "lib/theirs").mkdir()
    put(source, AFTER | {"other/x/a.sql": "1"})
    deploy(source, str(target))
    put(source, {"new.py": "1"})
    deploy(source, str(target))
    assert {str(one.relative_to(target)) for one in target.rglob("*")} == {"new.py", MANIFEST, "lib", "lib/theirs"}


def test_an_empty_directory_gives_way_to_a_file(tmp_path: Path) -> None:
    """A deploy can be killed after it has removed the last file of a directory, and before the directory."""
    source, target = put(tmp_path / "source", {"lib/sql": "1"}), tmp_path / "target"
    (target / "lib/sql/a").mkdir(parents=True)
    with pytest.raises(TargetRefused, match="Is a directory"):
        deploy(source, str(target))  # what is in it is nobody's to remove
    (target / "lib/sql/a").rmdir()
    deploy(source, f"file://{target}", resume=True)
    assert there(str(target)) == {"lib/sql": "1"}


def test_a_folder_without_files_would_remove_everything(cli: Cli, tmp_path: Path, target: str) -> None:
    """As where nothing was generated before."""
    source = put(tmp_path / "source", BEFORE)
    deploy(source, target)
    put(source, {".hidden": "x"})
    result = cli("dags", "deploy", source, target, "--yes")
    assert result.exit_code == ExitCode.USAGE
    assert f"{source}: expected DAG files, found none: nothing is deployed, as that would remove" in result.stderr
    assert there(target) == BEFORE


@pytest.mark.parametrize("below", [".", "out", "lib/../out/x"])
def test_a_target_in_the_folder_itself_is_refused(cli: Cli, tmp_path: Path, below: str) -> None:
    source = put(tmp_path / "source", BEFORE)
    result = cli("dags", "deploy", source, source / below, "--yes")
    assert result.exit_code == ExitCode.USAGE
    assert f"expected a target outside of {source}, found one in it" in result.stderr
    assert contents(source).keys() == BEFORE.keys()


def test_a_file_that_is_too_large_to_be_ours_is_not_read(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.dags.deploying.deploy.MOST_BYTES", 10)
    source = put(tmp_path / "source", {"a.py": "x", "b.py": "x" * 6, "c.py": "y" * 6})
    deploy(source, target)
    assert look(source, open_target(target)).is_done, "in parts of ten bytes"
    open_target(target).write("a.py", b"x" * 11)
    opened = open_target(target)
    reading = Mock(wraps=opened.read)
    monkeypatch.setattr(opened, "read", reading)
    assert [one.path for one in look(source, opened).plan.refused] == ["a.py"]
    assert "a.py" not in {path for call in reading.call_args_list for path in call.args[0]}


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("sftp://me:secret@host/dags", "FSSPEC_SFTP_PASSWORD"),
        ("simplecache::ftp://me:secret@host/dags", "FSSPEC_FTP_PASSWORD"),
        ("s3://key:secret@bucket/dags", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_password_in_an_address_is_refused_and_not_shown(cli: Cli, tmp_path: Path, url: str, where: str) -> None:
    result = cli("dags", "deploy", put(tmp_path / "source", BEFORE), url, "--dry-run")
    assert result.exit_code == ExitCode.USAGE
    assert "expected an address without a password: lists of processes and histories show it" in result.stderr
    assert f"give it to fsspec otherwise, such as in {where}\n" in result.stderr
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda source: (source / "a.py").symlink_to("/etc/passwd"), "found a link out of"),
        (lambda source: (source / "lib").symlink_to(source.parent), "expected a directory, found a link; copy it"),
        (lambda source: (source / "a\nb.py").touch(), "expected a name without control characters and backslashes"),
        (lambda source: os.mkfifo(source / "a.py"), "expected a file, found something else; take it away"),
        (
            lambda source: os.truncate((source / "a.py").touch() or source / "a.py", 100_000_001),
            "more than 100,000,000",
        ),
    ],
)
def test_what_cannot_be_deployed_is_said(cli: Cli, tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    (tmp_path / "source").mkdir()
    make(tmp_path / "source")
    result = cli("dags", "deploy", tmp_path / "source", tmp_path / "target", "--yes")
    assert result.exit_code == ExitCode.USAGE
    assert said in result.stderr
    assert not (tmp_path / "target").exists()


def test_names_in_any_alphabet_and_with_blanks_are_deployed(tmp_path: Path, target: str) -> None:
    files = {"Größe +%20 &?#.py": "x", "日本/数据.sql": "x", "a b/c.py": "x"}
    deploy(put(tmp_path / "source", files), target)
    assert there(target) == files
    assert look(tmp_path / "source", open_target(target)).is_done


def test_a_bucket_that_is_listed_in_pages_is_listed_to_its_end(tmp_path: Path, bucket: str) -> None:
    """A page has 1,000 objects: the last file is on the second one."""
    of_others = {f"theirs/{at:04}.sql" for at in range(1_000)}
    S3FileSystem().pipe({f"{bucket}/{path}": b"x" for path in of_others})
    source = put(tmp_path / "source", {"a.py": "1", "z.py": "1"})
    deploy(source, bucket)
    open_target(bucket).write("z.py", b"a hotfix")
    put(source, {"a.py": "2", "z.py": "2"})
    plan = look(source, open_target(bucket)).plan
    assert [one.path for one in plan.refused] == ["z.py"]
    assert set(plan.foreign) == of_others


def test_many_files_are_read_in_parts(tmp_path: Path, target: str) -> None:
    files = {f"lib/{at}.sql": str(at) for at in range(110)}
    deploy(put(tmp_path / "source", files), target)
    assert there(target) == files


def test_a_deploy_asks_unless_it_is_told_not_to(cli: Cli, tmp_path: Path) -> None:
    source = put(tmp_path / "source", BEFORE)
    for more, why in (((), "stdin is no terminal"), (("--json",), "--json is for programs")):
        result = cli("dags", "deploy", source, tmp_path / "target", *more)
        assert result.exit_code == ExitCode.USAGE
        assert f"here nobody can answer ({why}); nothing was written" in result.stderr
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("s3://", ExitCode.USAGE, "expected a bucket, such as s3://bucket/dags"),
        (
            "nothing://x/y",
            ExitCode.USAGE,
            "Protocol not known: nothing; expected a directory, or such as s3://bucket/d",
        ),
        ("gs://x/y", ExitCode.USAGE, "Please install gcsfs to access Google Storage"),
        (f"/{'x' * 300}", ExitCode.REFUSED, "File name too long: "),
        ("ftp://127.0.0.1:1/dags", ExitCode.UNREACHABLE, "Connection refused; the same command goes on where"),
        (
            "s3://none/dags",
            ExitCode.REFUSED,
            "The specified bucket does not exist; create the bucket, or the directory, first",
        ),
    ],
)
def test_a_target_that_is_none_is_said(
    cli: Cli, tmp_path: Path, bucket: str, url: str, code: ExitCode, said: str
) -> None:
    assert bucket
    result = cli("dags", "deploy", put(tmp_path / "source", BEFORE), url, "--dry-run")
    assert result.exit_code == code, result.stderr
    assert said in result.stderr


def test_a_store_that_does_not_answer_is_said(
    cli: Cli, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(S3FileSystem, "_cache", {})  # of clients, which have the address of before
    result = cli("dags", "deploy", put(tmp_path / "source", BEFORE), bucket, "--dry-run")
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "Could not connect to the endpoint URL" in result.stderr
    assert "the same command goes on where this one has ended" in result.stderr


@pytest.mark.parametrize(
    ("more", "said"), [({}, "Unable to locate credentials"), ({"AWS_PROFILE": "x"}, "profile (x) could not be found")]
)
def test_missing_credentials_are_said(
    cli: Cli, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, more: dict[str, str], said: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name, value in {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", **more}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(S3FileSystem, "_cache", {})
    result = cli("dags", "deploy", put(tmp_path / "source", BEFORE), bucket, "--dry-run")
    assert result.exit_code == ExitCode.REFUSED
    assert f"{said}; give credentials where fsspec finds them" in result.stderr


def test_a_directory_that_cannot_be_written_to_is_said(cli: Cli, tmp_path: Path) -> None:
    source = put(tmp_path / "source", BEFORE)
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o555)
        target = open_target(directory)
        shown = look(source, target)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # root may write everywhere
        try:
            with pytest.raises(TargetRefused, match=r"Permission denied: .*; give this user the right to list"):
                carry_out(shown, source, target, by="me", resume=False)
        finally:
            if root:
                os.seteuid(0)
        assert os.listdir(directory) == []
    (tmp_path / "file").touch()
    result = cli("dags", "deploy", source, tmp_path / "file", "--yes")
    assert result.exit_code == ExitCode.REFUSED
    assert "Not a directory" in result.stderr
    assert "expected a directory, or an object store that can be written to" in result.stderr


def test_an_object_that_stands_for_a_folder_is_no_file(tmp_path: Path, bucket: str, s3: str) -> None:
    """A console makes one."""
    for folder in ("", "lib/"):
        assert requests.put(f"{s3}/{bucket.removeprefix('s3://')}/{folder}", timeout=30).ok
    source = put(tmp_path / "source", BEFORE)
    deploy(source, bucket)
    assert there(bucket) == BEFORE
    assert look(source, open_target(bucket)).plan.foreign == ()


class Counted:
    """A target that counts the bytes that are read."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def read(self, paths: Collection[str]) -> dict[str, bytes]:
        contents = self._target.read(paths)
        self.bytes += sum(map(len, contents.values()))
        return contents


def test_what_is_read_grows_with_the_files_and_not_with_their_square(tmp_path: Path) -> None:
    read = []
    for number in (100, 400):
        source = put(tmp_path / "source", {f"{at}.py": "x" for at in range(number)})
        counted = Counted(open_target(str(tmp_path / str(number))))
        deploy(source, cast("Target", counted))
        read.append(counted.bytes)
    assert read[1] < 5 * read[0]


def test_a_long_plan_is_shown_in_part(cli: Cli, tmp_path: Path) -> None:
    source = put(tmp_path / "source", {f"{at}.py": "x" for at in range(60)})
    result = cli("dags", "deploy", source, tmp_path / "target", "--dry-run")
    assert len([line for line in result.stdout.splitlines() if line.startswith("create ")]) == 50
    assert "and 10 more: see them with --limit\n" in result.stdout
    result = cli("dags", "deploy", source, tmp_path / "target", "--dry-run", "--limit", 60)
    assert len([line for line in result.stdout.splitlines() if line.startswith("create ")]) == 60
    assert "more: see" not in result.stdout
    result = cli("dags", "deploy", source, tmp_path / "target", "--dry-run", "--json")
    assert len(json.loads(result.stdout)["changes"]) == 60


def test_an_interruption_says_how_far_it_was_and_how_to_go_on(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = put(tmp_path / "source", BEFORE), str(tmp_path / "target")
    write = _Directory.write

    def interrupt(self: _Directory, path: str, content: bytes) -> None:
        if path == "gone.py":
            raise KeyboardInterrupt
        write(self, path, content)

    monkeypatch.setattr(_Directory, "write", interrupt)
    result = cli("dags", "deploy", source, target, "--yes")
    assert result.exit_code == ExitCode.INTERRUPTED
    assert result.stderr == (
        "coordinator: interrupted (deploying: 2 of 4 files); the same command goes on from there\n"
    )
    assert there(target).keys() == {"lib/sql/a.sql", "customers.py"}


def test_while_another_deploy_runs_the_refusal_comes_before_the_plan(cli: Cli, tmp_path: Path) -> None:
    source, target = put(tmp_path / "source", BEFORE), str(tmp_path / "target")
    refused: list[Any] = []

    def second(at: int, moment: str) -> None:
        if (at, moment) == (2, "after"):
            refused.extend(cli("dags", "deploy", source, target, "--dry-run" if dry else "--yes") for dry in (0, 1))

    deploy(source, Steps(open_target(target), second))
    asked, dry_run = refused
    assert asked.exit_code == ExitCode.PROBLEM
    assert asked.stdout == ""
    assert "and it still runs (process " in asked.stderr
    assert dry_run.exit_code == ExitCode.OK
    assert " still runs, on this machine\n" in dry_run.stdout


def test_a_deploy_of_another_machine_is_gone_on_from_only_when_it_is_said(cli: Cli, tmp_path: Path) -> None:
    source, target = put(tmp_path / "source", BEFORE), str(tmp_path / "target")
    claim = Claim(token="1", by="me", at="now", process={"host": "elsewhere"})
    open_target(target).write(CLAIM, claim.to_value())
    result = cli("dags", "deploy", source, target, "--yes")
    assert result.exit_code == ExitCode.PROBLEM
    assert "me began a deploy at now on elsewhere, and it has not ended; wait for it, or, where it" in result.stderr
    assert cli("dags", "deploy", source, target, "--yes", "--resume").exit_code == ExitCode.OK
    assert there(target) == BEFORE


def test_a_record_of_what_is_written_that_cannot_be_read_is_said(tmp_path: Path, target: str) -> None:
    claim = Claim(token="1", by="me", at="now", process=None)
    opened = open_target(target)
    opened.write(CLAIM, claim.to_value())
    opened.write(writes_name("1"), b"x")
    with pytest.raises(DeployError, match=r"\.coordinator-dags\.1\.writes\.json cannot be read"):
        deploy(put(tmp_path / "source", BEFORE), target, resume=True)


def generated(directory: Path, *environments: str, name: str = "sales", dag: str = TEMPLATE) -> Path:
    """The folder that a configuration with these environments generates."""
    text = (
        f"name: {name}\nvalues: {{schedule: null}}\nenvironments: {{{', '.join(f'{one}: ' for one in environments)}}}\n"
        "dags:\n  orders: {template: dag.py.j2}\n"
    )
    file = project(directory, text, dag=dag)
    rendered = render(file, read_configuration(file), environments)
    assert rendered.findings == []
    for (environment, path), content in rendered.contents.items():
        (directory / "dags" / environment).mkdir(parents=True, exist_ok=True)
        (directory / "dags" / environment / path).write_bytes(content)
    return directory / "dags"


@pytest.mark.promise("dags-deploy")
def test_another_environment_or_configuration_is_refused_unless_it_is_said(cli: Cli, tmp_path: Path) -> None:
    folder, target = generated(tmp_path / "a", "dev", "prod"), tmp_path / "target"
    other = generated(tmp_path / "b", "prod", name="finance")
    by_hand = put(tmp_path / "by_hand", BEFORE)
    assert cli("dags", "deploy", folder / "prod", target, "--yes").exit_code == ExitCode.OK
    before = contents(target)
    found = {
        folder / "dev": "files of sales for dev",
        folder: "files of sales for dev, prod",
        other / "prod": "files of finance for prod",
        by_hand: "no generated files",
    }
    for source, said in found.items():
        for more in ("--dry-run", "--yes"):
            result = cli("dags", "deploy", source, target, more)
            assert result.exit_code == ExitCode.PROBLEM
            assert result.stdout == ""
            assert result.stderr == (
                f"coordinator: {target}: expected files of sales for prod, as was deployed there before, found {said} "
                f"in {source}; deploy the folder of prod, or say with --other-source that this one is meant\n"
            )
    assert contents(target) == before
    assert cli("dags", "deploy", folder / "dev", target, "--yes", "--other-source").exit_code == ExitCode.OK
    assert cli("dags", "deploy", folder / "dev", target, "--yes").exit_code == ExitCode.OK, "it is known now"
    assert cli("dags", "deploy", folder / "prod", target, "--yes").exit_code == ExitCode.PROBLEM


def test_a_first_deploy_of_several_environments_is_refused(cli: Cli, tmp_path: Path) -> None:
    folder = generated(tmp_path / "a", "dev", "prod")
    result = cli("dags", "deploy", folder, tmp_path / "target", "--yes")
    assert result.exit_code == ExitCode.PROBLEM
    assert f"{folder}: expected the files of one environment, found those of dev, prod; deploy the fo" in result.stderr
    result = cli("dags", "deploy", folder, tmp_path / "target", "--yes", "--other-source")
    assert result.exit_code == ExitCode.PROBLEM, "it makes each DAG twice"
    assert "makes the DAG orders, as dev/orders.py does: Airflow shows it once" in result.stdout
    assert not (tmp_path / "target").exists()


def test_an_interrupted_first_deploy_has_its_origin_too(cli: Cli, tmp_path: Path) -> None:
    folder, target = generated(tmp_path / "a", "dev", "prod"), str(tmp_path / "target")

    def interrupt(at: int, moment: str) -> None:
        if (at, moment) == (2, "after"):
            raise Interrupted

    with pytest.raises(Interrupted):
        deploy(folder / "prod", Steps(open_target(target), interrupt))
    result = cli("dags", "deploy", folder / "dev", target, "--yes", "--resume")
    assert result.exit_code == ExitCode.PROBLEM
    assert "expected files of sales for prod, as was deployed there before, found files of sales for dev" in (
        result.stderr
    )


def test_a_dag_that_two_files_make_is_refused(cli: Cli, tmp_path: Path) -> None:
    made = "from airflow.sdk import DAG\n\nDAG('orders')\n"
    source = put(tmp_path / "source", {"a.py": made, "lib/b.py": made, "c.py": "x = 'airflow dag'\n", "d.py": "dag ("})
    result = cli("dags", "deploy", source, tmp_path / "target", "--yes")
    assert result.exit_code == ExitCode.PROBLEM
    assert "makes the DAG orders, as a.py does: Airflow shows it once, with either content; deploy" in result.stdout
    assert not (tmp_path / "target").exists()
    for ignored in ("lib/b.py", "*.py", "^lib/"):  # in either syntax
        (source / ".airflowignore").write_text(f"{ignored}\n")
        assert cli("dags", "deploy", source, tmp_path / "target", "--dry-run").exit_code == ExitCode.OK


@pytest.mark.promise("dags-deploy")
def test_a_changed_file_is_shown_and_overwritten_only_where_it_is_named(cli: Cli, tmp_path: Path, target: str) -> None:
    source = put(tmp_path / "source", BEFORE)
    deploy(source, target)
    opened = open_target(target)
    for path in ("orders.py", "gone.py", "customers.py"):
        opened.write(path, b"a hotfix\n")
    put(source, AFTER)
    result = cli("dags", "deploy", source, target, "--yes", "--diff", "--overwrite", "orders.py")
    assert result.exit_code == ExitCode.PROBLEM
    assert f"--- {source}/customers.py\n+++ {target}/customers.py\n@@ -1 +1 @@\n-1\n+a hotfix\n" in result.stdout
    assert f"--- /dev/null\n+++ {target}/gone.py\n@@ -0,0 +1 @@\n+a hotfix\n" in result.stdout
    assert "+++ " not in result.stdout.partition("orders.py")[0]
    assert there(target)["orders.py"] == "a hotfix\n", "nothing else is deployed either"
    result = cli("dags", "deploy", source, target, "--dry-run", "--diff", "--json")
    assert json.loads(result.stdout)["diffs"].keys() == {"orders.py", "gone.py", "customers.py"}
    named = [more for path in ("orders.py", "gone.py", "customers.py") for more in ("--overwrite", path)]
    assert cli("dags", "deploy", source, target, "--yes", *named).exit_code == ExitCode.OK
    assert there(target) == AFTER
    result = cli("dags", "deploy", source, target, "--yes", "--overwrite", "oders.py")
    assert result.exit_code == ExitCode.USAGE
    assert f"--overwrite oders.py: neither {source} nor {target} has such a file" in result.stderr


def test_a_link_is_not_overwritten_even_where_it_is_named(tmp_path: Path) -> None:
    source, target = put(tmp_path / "source", {"a.py": "1"}), put(tmp_path / "target", {})
    (target / "a.py").symlink_to(tmp_path / "a.py")
    plan = look(source, open_target(str(target)), overwrite=["a.py"]).plan
    assert [(one.path, "remove it from the target" in one.remedy) for one in plan.refused] == [("a.py", True)]


def test_a_long_diff_is_shown_in_part(cli: Cli, tmp_path: Path) -> None:
    source, target = put(tmp_path / "source", {"a.py": "1"}), str(tmp_path / "target")
    open_target(target).write("a.py", b"x\n" * 500)
    result = cli("dags", "deploy", source, target, "--dry-run", "--diff")
    assert "+x\n... and 404 more lines\n" in result.stdout


def test_a_change_to_a_generated_file_belongs_into_the_template(cli: Cli, tmp_path: Path) -> None:
    folder, target = generated(tmp_path / "a", "prod"), str(tmp_path / "target")
    deploy(folder / "prod", target)
    open_target(target).write("orders.py", b"a hotfix\n")
    result = cli("dags", "deploy", folder / "prod", target, "--yes")
    assert (
        "somebody changed it since it was deployed; to keep what is there, bring it into the template and generate "
        "again; to lose it, pass --overwrite orders.py"
    ) in result.stdout
