"""An outbox that somebody else could write to is used by nobody; those of containers are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog

from coordinator.airflow_plugin.outbox import Outbox
from coordinator.airflow_plugin.parking import UNKNOWN
from coordinator.airflow_plugin.private import exposed, make_private_directory
from coordinator.airflow_plugin.sender import main
from coordinator.airflow_plugin.spawning import SenderProcess
from tests.unit.airflow_plugin.test_outbox import event

SOMEBODY = 54_321


@pytest.fixture
def of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    outbox = tmp_path / "outbox"
    outbox.mkdir(0o700)
    if os.geteuid() == 0:
        os.chown(outbox, SOMEBODY, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    return outbox


@pytest.fixture
def of_everybody(tmp_path: Path) -> Path:
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    outbox.chmod(0o1777)
    return outbox


def test_an_outbox_of_another_user_is_refused_with_what_to_do(
    of_somebody_else: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--outbox", str(of_somebody_else)])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert f"{of_somebody_else}: it belongs to the user" in said
    assert "chown" in said
    with pytest.raises(PermissionError, match="belongs to the user"):
        Outbox(of_somebody_else).prepare()
    assert os.listdir(of_somebody_else) == []


def test_an_outbox_that_everybody_may_write_to_is_refused_with_what_to_do(
    of_everybody: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--outbox", str(of_everybody)])
    assert f"chmod o-w {of_everybody}" in capsys.readouterr().err
    with pytest.raises(PermissionError, match=r"everybody on this machine may write there \(mode 1777\)"):
        make_private_directory(of_everybody)


def test_no_sender_is_started_there_and_events_are_kept(of_everybody: Path) -> None:
    outbox = Outbox(of_everybody)
    name = outbox.put(event("r"))
    with structlog.testing.capture_logs() as logs:
        SenderProcess(of_everybody).wake()
    (line,) = logs
    assert (line["event"], "chmod o-w" in line["error"]) == ("sender.not_started", True)
    assert outbox.pending() == [name]


def test_what_is_parked_is_not_put_where_everybody_may_write(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    name = outbox.put(event("r"))
    outbox.parked.directory.mkdir()
    outbox.parked.directory.chmod(0o777)
    with pytest.raises(PermissionError):
        outbox.parked.park(name, UNKNOWN)
    assert outbox.pending() == [name]


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o775, 0o2775])
def test_an_outbox_that_several_processes_of_a_user_or_group_share_is_used(tmp_path: Path, mode: int) -> None:
    outbox = Outbox(tmp_path / "outbox")
    outbox.directory.mkdir()
    outbox.directory.chmod(mode)
    outbox.prepare()
    name = outbox.put(event("r"))
    assert Outbox(outbox.directory).pending() == [name]


def test_a_volume_that_belongs_to_root_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    assert exposed(Path("/usr")) is None
