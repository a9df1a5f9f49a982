"""A deploy to a directory within the target of another deploy, and what a deploy that was ended has left there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.dags.deploying import carry_out, look, open_target
from coordinator.dags.deploying.records import CLAIM, MANIFEST, writes_name
from tests.command_line import Cli
from tests.command_line import cli as cli

pytestmark = pytest.mark.slow

HALF = f".coordinator-dags.{'0123456789abcdef' * 2}.part"


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a DAG folder."""

    def made(name: str, *files: str) -> Path:
        for file in files:
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(f"# {name}\n")
        return tmp_path / name

    return made


def deploy(source: Path, target: str) -> None:
    opened = open_target(target)
    carry_out(look(source, opened), source, opened, by="me", resume=False)


@pytest.mark.promise("dags-deploy")
def test_a_deploy_below_the_target_keeps_its_records(cli: Cli, folder: Callable[..., Path], target: str) -> None:
    a, b = folder("a", "one.py", "team_b/shared.py"), folder("b", "one.py", "lib/x.sql")
    deploy(b, f"{target}/team_b")
    deploy(a, target)
    open_target(target).write(f"team_b/{HALF}", b"b is at it")
    open_target(target).write(f"team_b/lib/{HALF}", b"b is at it")
    writes = writes_name("0" * 32)
    open_target(target).write(f"team_b/{writes}", b"b is at it")
    records = {f"team_b/{name}" for name in (MANIFEST, writes, HALF, f"lib/{HALF}", "one.py", "lib/x.sql")}
    said = json.loads(cli("dags", "deploy", a, target, "--dry-run", "--json").stdout)
    assert (set(said["foreign"]), said["left_over"]) == (records, [])

    (a / "one.py").write_text("# the next one\n")
    deploy(a, target)
    assert records < open_target(target).sizes().keys()
    (b / "one.py").write_text("# the next one\n")
    assert cli("dags", "deploy", b, f"{target}/team_b", "--yes").exit_code == ExitCode.OK


@pytest.mark.promise("dags-deploy")
def test_a_deploy_below_the_target_that_is_under_way_goes_on(folder: Callable[..., Path], target: str) -> None:
    a, b, below = folder("a", "one.py", "lib/one.py"), folder("b", "one.py", "two.py"), open_target(f"{target}/lib")
    write = below.write

    def meanwhile(path: str, content: bytes) -> None:
        write(path, content)
        if not path.endswith(".writes.json"):  # the plan is looked at once more after it
            (a / "one.py").write_text(path)
            deploy(a, target)

    below.write = meanwhile  # type: ignore[method-assign]
    (b / "one.py").write_text((a / "lib/one.py").read_text())
    carry_out(look(b, below), b, below, by="b", resume=False)
    assert look(b, open_target(f"{target}/lib")).is_done
    assert CLAIM not in below.sizes()


def test_a_file_whose_name_only_begins_like_ours_stays(folder: Callable[..., Path], target: str) -> None:
    source, opened = folder("a", "one.py", "lib/x.sql"), open_target(target)
    deploy(source, target)
    theirs = {
        ".coordinator-dags.notes-of-ann",
        ".coordinator-dags.0123.part",
        f"{HALF}.txt",
        f"elsewhere/{HALF}",
        f"lib/{CLAIM}.{'0' * 32}.part",
        f"lib/{writes_name('0' * 32)}",
        writes_name("0123"),
    }
    for path in theirs:
        opened.write(path, b"theirs")
    assert set(look(source, opened).plan.foreign) == theirs
    (source / "one.py").write_text("# the next one\n")
    deploy(source, target)
    assert theirs < opened.sizes().keys()


def test_half_a_file_of_a_killed_deploy_is_removed(cli: Cli, folder: Callable[..., Path], target: str) -> None:
    source, opened = folder("a", "one.py", "lib/x.sql"), open_target(target)
    deploy(source, target)
    halves = {HALF, f"lib/{HALF}", f"{CLAIM}.{'0' * 32}.part", writes_name("0" * 32)}
    for path in halves:
        opened.write(path, b"ha")
    assert set(look(source, opened).left_over) == halves
    result = cli("dags", "deploy", source, target, "--yes")
    assert f"to remove: {', '.join(sorted(halves))}: left behind by a deploy that did not end" in result.stdout
    assert opened.sizes().keys() == {"one.py", "lib/x.sql", MANIFEST}
    assert look(source, opened).is_done
