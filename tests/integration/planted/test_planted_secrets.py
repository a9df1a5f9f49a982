"""Secrets everywhere, everything at work and much of it failing: and no secret comes out anywhere.

Each place is also looked at for what must be there, so that an empty file passes for nothing.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from coordinator.airflow_plugin.outbox import LOCK_NAME
from coordinator.airflow_plugin.reporter import Reporter
from coordinator.airflow_plugin.spawning import LOG_NAME
from coordinator.config.loading import load_settings
from coordinator.errors import CoordinatorError
from coordinator.runners.airflow import AirflowRunner
from coordinator.runners.port import RunRef
from coordinator.store.connection import connect
from tests.integration.planted.conftest import COMMANDS, clean
from tests.integration.planted.secrets import MARK, Secrets, new_secret
from tests.integration.planted.stage import FAILING, WORKING, Stage
from tests.metrics import Scrape

pytestmark = pytest.mark.promise("secrets")

WORDS = {
    "status": "echo/A",
    "status as JSON": "echo/A",
    "doctor": "does not accept the credentials",
    "doctor as JSON": "token_command",
    "explain": "team_b/A",
    "explain as JSON": "***",
    "validate": "dependencies.json",
    "plan": "dependencies.json",
    "preview": "echo/A",
}


def test_secrets_are_found_in_every_shape(tmp_path: Path) -> None:
    """The looking itself."""
    secrets, secret = Secrets(), new_secret("x")
    shapes: list[Callable[[str], str]] = [
        str,
        repr,
        json.dumps,
        quote,
        str.upper,
        lambda text: text[: len(text) // 2],
        lambda text: text[len(text) // 2 :],
        lambda text: "\n".join(f"│ {text[at : at + 3]} │" for at in range(0, len(text), 3)),
        *(lambda text, user=user: base64.b64encode(f"{user}:{text}".encode()).decode() for user in ("a", "ab", "abc")),
    ]
    for shape in shapes:
        assert secrets.found_in(f"before {shape(secret)} after"), shape(secret)
    key = tmp_path / "key"
    key.write_text("-----BEGIN-----\nMIGHAgEAMBMGByqGSM49AgEG\n")
    secrets.add_key(key)
    for text in ("MIGHAgEAMBMGByqGSM49AgEG", "eyJhbGciOiJub25lIn0.eyJzdWIiOiAiYWRtaW4i.x", "token=rnkVzUHPfKpcPTeG.42"):
        assert secrets.found_in(f'"{text}"'), text
    assert not secrets.found_in("a text without any, 127.0.0.1:2379, eyJ, PARTITION.2026")


def test_every_secret_was_in_use(stage: Stage) -> None:
    """Else there would be nothing to be shown."""
    for name in ("default", "team_c", "shout", "wrong"):
        assert stage.airflows[name].requests_of("login"), name
    for name in ("team_b", "echo"):
        assert stage.airflows[name].requests_of("trigger"), name
    assert {request.status for request in stage.airflows["echo"].requests_of("trigger")} >= {500, 503, 403}
    assert all(stage.airflows[name].runs("A") for name in WORKING)
    assert not any(stage.airflows[name].runs("A") for name in FAILING)


def test_the_log_of_a_watcher_shows_none(stage: Stage) -> None:
    log = stage.texts["watcher log"]
    for words in (
        '"event": "airflow.logged_in"',
        '"level": "debug"',
        "token_command",
        "CERTIFICATE_VERIFY_FAILED",
        "authentication failed",
        "does not accept the credentials",
        "you sent Authorization: Bearer ***",
        "http.broken_off",
    ):
        clean(stage, log, has=words)


def test_the_decision_log_shows_none(stage: Stage) -> None:
    clean(stage, stage.texts["decision log"], has="echo/A")


def test_etcd_has_never_held_one(stage: Stage) -> None:
    history: list[str] = []
    newest = stage.store.list("/").revision
    with stage.store.watch("/", from_revision=1) as stream:
        seen = 0
        while seen < newest:
            stream.request_progress()
            batch = stream.receive(10)
            assert batch is not None, f"revision {newest} does not come"
            seen = batch.revision
            history += [f"{change.key} {change.kv}" for change in batch.changes]
    text = "\n".join(history)
    for words in ("/coordinator/trigger/echo/A", "you sent Authorization: Bearer ***", "/coordinator/leader"):
        clean(stage, text, has=words)


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_shows_one(stage: Stage, name: str) -> None:
    clean(stage, stage.texts[f"command {name}"], has=WORDS.get(name, "0\n"))


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nowhere"])
def test_no_answer_over_http_shows_one(stage: Stage, path: str, method: str) -> None:
    clean(stage, stage.texts[f"{method} {path}"], has="nosniff")


def test_metrics_count_the_environments_that_fail(stage: Stage) -> None:
    assert Scrape(stage.texts["GET /metrics"].partition("\n")[2]).value("problems", kind="environment") > 0


def test_no_command_line_has_one(stage: Stage) -> None:
    lines = "\n".join(stage.command_lines)
    for words in ("coordinator.cli watch", "-c import sys"):
        clean(stage, lines, has=words)


def test_no_text_of_settings_or_clients_has_one(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor an exception with its whole chain, as a debugger or an error collector would show it."""
    for name, value in stage.variables.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(stage.config)
    texts = [repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())]
    store = connect(settings.etcd)
    store.list("/coordinator/")
    texts += [
        repr(store),
        repr(vars(store)),
        repr(store._members._password),
        repr(store._members),
        repr(vars(store._members.in_use)),
    ]
    store.close()
    for name, environment in settings.airflows.items():
        runner = AirflowRunner(name, environment)
        client, authentication = runner._client, runner._client._authentication
        try:
            looked = runner.look([RunRef("A", "x")], timeout=5)
            texts.append(repr(looked))
            if looked.error is not None:
                raise looked.error
            environment.token(name)
        except CoordinatorError as error:
            texts += [*traceback.format_exception(error), repr(error), repr(error.args), repr(error.__cause__)]
        known = (authentication, authentication._password, authentication._token)  # what it has by now
        texts += [repr(each) for each in (runner, client, vars(runner), environment, *known)]
        runner.close()
    text = "\n".join(texts)
    for words in ("PLANTED_PASSWORD", "Traceback", "CERTIFICATE_VERIFY_FAILED", "<Credential", "ended with 1"):
        clean(stage, text, has=words)


def test_neither_an_outbox_nor_its_sender_shows_one(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a wrong password, so that the event stays; then with the right one."""
    outbox = tmp_path / "coordinator-outbox"
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("COORDINATOR_CONFIG", str(stage.config))
    for name, value in stage.variables.items():
        monkeypatch.setenv(name, value)
    stage.etcd_password_file.write_text(new_secret("wrong-etcd"))
    reporter = Reporter()
    run_columns = SimpleNamespace(
        dag_id="R",
        run_id="manual__1",
        queued_at=datetime(2026, 11, 21, tzinfo=UTC),
        logical_date=datetime(2026, 11, 21, tzinfo=UTC),
        partition_key=None,
        data_interval_start=None,
        data_interval_end=None,
        start_date=None,
        end_date=None,
        conf=None,
    )
    reporter.report(run_columns, "success")  # type: ignore[arg-type]
    child = reporter._place.sender._child
    assert child is not None
    try:
        log = outbox / LOG_NAME
        stage.until(lambda: log.exists() and "authentication failed" in log.read_text())
        kept = {file.name: file.read_text(errors="replace") for file in outbox.rglob("*") if file.is_file()}
        assert set(kept) - {LOG_NAME, LOCK_NAME}, "the event is kept"
        for name, content in kept.items():
            clean(stage, content, has="")
            assert content or name == LOCK_NAME
        stage.etcd_password_file.write_text(stage.etcd_password)
        stage.until(lambda: stage.store.get("/coordinator/state/default/R/2026-11-21T00:00:00Z") is not None)
        clean(stage, log.read_text(), has="sender.ready")
        clean(
            stage,
            Path(f"/proc/{child.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(),
            has="airflow_plugin.sender",
        )
    finally:
        child.terminate()
        child.wait(10)
    output = capfd.readouterr()
    clean(stage, output.out + output.err, has="event.kept")


def test_a_traceback_on_a_terminal_has_no_values_of_variables() -> None:
    """structlog's own way with rich installed prints local variables."""
    code = (
        "import io, sys, coordinator.cli.logs as logs, structlog\n"
        "class Terminal(io.StringIO):\n"
        "    def isatty(self): return True\n"
        "sys.stderr = Terminal()\n"
        "logs.configure_logs(logs.LogLevel.DEBUG)\n"
        "def login(password):\n"
        "    raise RuntimeError('it failed')\n"
        "try:\n"
        "    login(sys.stdin.read())\n"
        "except RuntimeError:\n"
        "    structlog.get_logger().exception('broken')\n"
        "print(sys.stderr.getvalue())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=new_secret("local"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "COLUMNS": "400"},
    )
    assert "RuntimeError: it failed" in done.stdout
    assert "in login" in done.stdout
    assert MARK not in done.stdout + done.stderr
