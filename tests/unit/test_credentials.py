"""Credentials by reference: what a command may do, how often it is run, and that nothing of it is shown."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordinator.config.credentials import AGAIN_AFTER, LARGEST, Credential, CredentialSource
from coordinator.errors import ConfigurationError, CoordinatorError, CredentialUnavailable

pytestmark = pytest.mark.promise("secrets")

SECRET = "correct-horse-battery"


def command(code: str, *arguments: str) -> CredentialSource:
    """A source whose command is a line of Python."""
    return CredentialSource("etcd", "password", command=(sys.executable, "-c", code, *arguments))


def refused(source: CredentialSource, kind: type[CoordinatorError], *, within: float = 10.0) -> str:
    """Its message, after a look at the whole traceback for the secret."""
    with pytest.raises(kind) as caught:
        source.read(within=within)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in repr(caught.value)
    assert not isinstance(caught.value, ConfigurationError) or kind is ConfigurationError
    return str(caught.value)


@pytest.mark.parametrize("end", ["", "\\n", "\\r\\n"])
def test_a_command_gives_the_credential_without_the_end_of_its_line(end: str) -> None:
    assert command(f"print(' {SECRET} ', end='{end}')").read() == f" {SECRET} "


def test_no_shell_looks_at_the_arguments() -> None:
    given = "$HOME; echo `id` > *"
    assert command("import sys; print(sys.argv[1])", given).read() == given


def test_a_command_gets_no_input() -> None:
    assert command("import sys; print(len(sys.stdin.read()))").read() == "0"


def test_a_command_that_fails_is_told_by_its_status_and_not_by_what_it_says() -> None:
    source = command(f"import sys; print('{SECRET}'); sys.exit('{SECRET} is wrong')")
    message = refused(source, CredentialUnavailable)
    assert message.startswith(f"etcd: password_command ({sys.executable}) ended with 1, expected 0")
    assert "run it by hand" in message


def test_a_command_that_writes_to_standard_error_writes_to_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    assert command(f"import sys; print('{SECRET}', file=sys.stderr); print('fine')").read() == "fine"
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """The child of the child holds our pipe and would live on."""
    file = tmp_path / "pid"
    code = (
        "import subprocess, sys; child = subprocess.Popen(['sleep', '60']);"
        f"open({str(file)!r}, 'w').write(str(child.pid)); print('{SECRET}', flush=True); child.wait()"
    )
    begun = time.monotonic()
    assert "took longer than 2.0 s" in refused(command(code), CredentialUnavailable, within=2.0)
    assert time.monotonic() - begun < 10
    child = int(file.read_text())
    _until(lambda: not _lives(child))


@pytest.mark.slow
@pytest.mark.promise("rotation")
def test_what_a_command_leaves_behind_with_its_output_is_ended(tmp_path: Path) -> None:
    """It has ended itself, so nobody knows of its child any more: one more with every try."""
    file = tmp_path / "pid"
    code = (
        "import subprocess; child = subprocess.Popen(['sleep', '60']);"
        f"open({str(file)!r}, 'w').write(str(child.pid)); print('{SECRET}')"
    )
    assert "took longer than 2.0 s" in refused(command(code), CredentialUnavailable, within=2.0)
    child = int(file.read_text())
    _until(lambda: not _lives(child))


@pytest.mark.slow
@pytest.mark.promise("rotation")
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_a_command_that_may_not_be_ended_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that sudo runs: it belongs to somebody else, and no signal of ours gets there."""
    real, groups = os.killpg, list[int]()

    def not_ours(group: int, _: int) -> None:
        groups.append(group)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "killpg", not_ours)
    begun = time.monotonic()
    try:
        assert "took longer" in refused(command("import time; time.sleep(30)"), CredentialUnavailable, within=1.0)
        assert time.monotonic() - begun < 10
    finally:
        for group in groups:
            real(group, signal.SIGKILL)
        gc.collect()  # subprocess warns of it when it is forgotten: here, and not in a later test


@pytest.mark.slow
def test_a_command_that_closes_its_output_and_stays_is_ended() -> None:
    source = command("import os, time; os.close(1); time.sleep(60)")
    assert "took longer" in refused(source, CredentialUnavailable, within=1.0)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("pass", "is empty"),
        ("print()", "is empty"),
        (f"print('Welcome!'); print('{SECRET}')", "several lines"),
        (f"import os; os.write(1, b'{SECRET}\\xff')", "not UTF-8"),
        (f"while True: print('{SECRET}')", f"more than {LARGEST} bytes"),
    ],
)
def test_what_cannot_be_a_credential_is_refused_without_repeating_it(code: str, reason: str) -> None:
    assert reason in refused(command(code), ConfigurationError)


def test_a_program_that_is_not_there_is_named() -> None:
    source = CredentialSource("http", "token", command=("/nowhere/vault", SECRET))
    message = refused(source, ConfigurationError)
    assert message == "http: token_command (/nowhere/vault) cannot be run: No such file or directory"


def test_an_argument_that_no_program_can_get_is_refused() -> None:
    assert "cannot be run: embedded null byte" in refused(command("pass", "a\0b"), ConfigurationError)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"\n", "is empty"), (SECRET.encode() + b"\xff", "not UTF-8"), (b"x" * (LARGEST + 1), "bytes")],
)
def test_a_file_that_holds_no_credential_is_refused_without_repeating_it(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    assert reason in refused(CredentialSource("etcd", "password", file=file), ConfigurationError)


def test_an_empty_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")
    source = CredentialSource("etcd", "password", variable="EMPTY")
    assert "the environment variable EMPTY is empty" in refused(source, ConfigurationError)


def test_a_file_that_everybody_may_read_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    source = CredentialSource("etcd", "password", file=file)
    file.chmod(0o640)
    assert source.exposed() is None
    file.chmod(0o644)
    assert source.exposed() == f"password_file {file} is readable by everybody on this machine (mode 0644)"
    file.unlink()
    assert source.exposed() is None


class Counted:
    """A command that prints how often it has been run, and fails when told to."""

    def __init__(self, folder: Path) -> None:
        self._runs = folder / "runs"
        self._runs.write_text("")
        self._broken = folder / "broken"
        code = (
            "import os, sys; file = open(sys.argv[1], 'a'); file.write('x'); file.close();"
            "os.path.exists(sys.argv[2]) and sys.exit(1); print(os.path.getsize(sys.argv[1]))"
        )
        self.source = command(code, str(self._runs), str(self._broken))
        self.now = 0.0

    def credential(self) -> Credential:
        return Credential(self.source, monotonic=lambda: self.now)

    @property
    def runs(self) -> int:
        return len(self._runs.read_text())

    def breaks(self) -> None:
        self._broken.touch()

    def is_repaired(self) -> None:
        self._broken.unlink()


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    return Counted(tmp_path)


def test_a_command_is_run_again_when_it_is_asked_again_and_no_oftener_than_every_few_seconds(counted: Counted) -> None:
    credential = counted.credential()
    assert [credential.get() for _ in range(5)] == ["1"] * 5
    counted.now += AGAIN_AFTER
    assert [credential.get() for _ in range(5)] == ["2"] * 5


def test_a_failure_is_remembered_as_long_and_no_longer(counted: Counted) -> None:
    credential = counted.credential()
    counted.breaks()
    for _ in range(5):
        with pytest.raises(CredentialUnavailable):
            credential.get()
    assert counted.runs == 1
    counted.is_repaired()
    counted.now += AGAIN_AFTER
    assert credential.get() == "2"


def test_many_threads_run_a_command_once(counted: Counted) -> None:
    credential = counted.credential()
    together = threading.Barrier(8)

    def get() -> str | None:
        together.wait(10)
        return credential.get()

    with ThreadPoolExecutor(8) as pool:
        assert {done.result(30) for done in [pool.submit(get) for _ in range(8)]} == {"1"}


@pytest.mark.slow
def test_who_waits_for_anothers_command_waits_no_longer_than_it_may() -> None:
    credential = Credential(command("import time; time.sleep(60)"))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(credential.get, within=3.0)
        _until(credential._lock.locked)
        with pytest.raises(CredentialUnavailable, match="another thread's password_command took longer"):
            credential.get(within=0.1)
        with pytest.raises(CredentialUnavailable, match="took longer"):
            first.result(30)


@pytest.mark.promise("rotation")
def test_a_file_and_a_variable_are_read_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    by_file = Credential(CredentialSource("etcd", "password", file=file))
    by_variable = Credential(CredentialSource("etcd", "password", variable="THE_SECRET"))
    for value in ("old", "new"):
        file.write_text(value)
        monkeypatch.setenv("THE_SECRET", value)
        assert by_file.get() == by_variable.get() == value


def test_no_text_of_a_credential_shows_it() -> None:
    credential = Credential(command(f"print('{SECRET}')"))
    assert credential.get() == SECRET
    assert repr(credential) == "<Credential etcd password>"


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _until(condition: Callable[[], bool], limit: float = 10.0) -> None:
    until = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
