"""Everything at work, with a secret wherever there can be one, and with all that can go wrong around secrets.

Environments by what becomes of them: ``default``, ``team_b`` and ``team_c`` work, with a password from a variable, a
token from a file over TLS, and a password from a command. ``broken``: its command fails and shouts its secret.
``wrong``: its password is not accepted. ``bad_tls``: another authority's certificate. ``echo``: refuses everything by
repeating it. ``shout``: refuses the login by repeating it. ``cut``: cuts every login.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import requests

from coordinator.commands.report import write_report
from coordinator.config.etcd import EtcdSettings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument, State
from coordinator.runners.port import ObservedRun
from coordinator.store.connection import connect
from coordinator.store.embedded import EmbeddedEtcd, free_port
from coordinator.store.keys import Keys
from coordinator.store.protobuf import import_etcd3
from tests.certificates import Authority
from tests.integration.planted.secrets import Secrets, new_secret, plain_secret
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault
from tests.worlds.simulated_airflow import partition_of

PARTITION = "2026-11-20T00:00:00Z"
WORKING = ("default", "team_b", "team_c")
FAILING = ("broken", "wrong", "bad_tls", "echo", "shout", "cut")
DEPENDENCIES = {"A": ["R"], "team_b/A": ["A"], "team_c/A": ["team_b/A"], **{f"{name}/A": ["R"] for name in FAILING}}
SHOUT = """\
import sys, time
secret = open(sys.argv[1]).read()
print(secret, flush=True); print(secret, file=sys.stderr, flush=True)
time.sleep(0.3)  # as a vault that is asked takes its time: somebody may look at its command line
raise RuntimeError(secret)
"""


class Stage:
    """Use as a context manager, then :meth:`play`.

    :ivar texts: what was written by whom, by a name that says so.
    :ivar config: the configuration that the watcher has.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets = Secrets()
        self.texts: dict[str, str] = {}
        self.command_lines: set[str] = set()
        self.variables = {"PLANTED_PASSWORD": new_secret("airflow-variable")}
        self.config = folder / "coordinator.toml"
        self.dependencies = folder / "dependencies.json"
        self.decision_log = folder / "decisions.jsonl"
        self.sent_token = plain_secret("sent")
        self.etcd_password = new_secret("etcd")
        self.etcd_password_file = folder / "etcd-password"
        self.log = folder / "watcher.log"
        self._stack = ExitStack()
        self.airflows: dict[str, StandInAirflow] = {}

    def __enter__(self) -> Stage:
        with ExitStack() as stack:
            self._build(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def written(self, name: str, content: str) -> Path:
        """A file that only we may read."""
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(content)
        return file

    def environ(self, **more: str) -> dict[str, str]:
        """Of the processes of this stage."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COORDINATOR_")}
        return {**inherited, **self.variables, **more}

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def play(self) -> None:
        """A wave through all of it; then etcd forgets its tokens while the password is wrong; then the end."""
        self.dependencies.write_text(json.dumps(DEPENDENCIES))
        watcher = self._watcher()
        self.until(lambda: "leader.started" in self.log_text() and "dependencies.loaded" in self.log_text())
        self.airflows["default"].trigger_by_hand("R", logical_date=datetime(2026, 11, 20, tzinfo=UTC))
        for name in (*WORKING, "wrong", "echo", "shout"):
            event = "trigger.done" if name in WORKING else "trigger.blocked"
            self.until(lambda name=name, event=event: self.said(event, f"{name}/A".removeprefix("default/")))  # type: ignore[misc]
        for name in ("broken", "bad_tls", "cut"):
            self.until(lambda name=name: self.said("trigger.unanswered", f"{name}/A"))  # type: ignore[misc]
        self.until(lambda: any("-c import sys" in line for line in self.command_lines))
        self._ask_over_http(watcher)
        self.etcd_password_file.write_text(new_secret("wrong-etcd"))
        self.etcd.restart()
        self.until(lambda: "authentication failed" in self.log_text())
        self.etcd_password_file.write_text(self.etcd_password)
        connected = self.log_text().count("etcd.connected")
        self.until(lambda: self.log_text().count("etcd.connected") > connected)

    def stop_watcher(self) -> None:
        self._watching.terminate()
        assert self._watching.wait(30) == 0
        self.texts["watcher log"] = self.log_text()
        self.texts["decision log"] = self.decision_log.read_text()

    def said(self, event: str, pipeline: str) -> bool:
        """Whether the watcher has logged it."""
        return any(
            f'"event": "{event}"' in line and f'"pipeline": "{pipeline}"' in line
            for line in self.log_text().splitlines()
        )

    def refused_at(self) -> int:
        """The etcd revision at which the record of ``echo/A`` repeats its refusal: it is soon tried again."""
        key, newest = f"/coordinator/trigger/echo/A/{PARTITION}", self.store.list("/").revision
        with self.store.watch(key, from_revision=1) as stream:
            while True:
                stream.request_progress()
                batch = stream.receive(10)
                assert batch is not None, "no record repeats it"
                # A batch with changes has the revision of etcd when it was sent: others have written since.
                assert batch.changes or batch.revision <= newest, "no record repeats it"
                for change in batch.changes:
                    if change.kv is not None and b"Bearer ***" in change.kv.value:
                        return change.revision

    def until(self, holds: Callable[[], bool], limit: float = 60.0) -> None:
        """Wait, and look at the command lines of all that runs meanwhile."""
        end = time.monotonic() + limit
        while not holds():
            assert time.monotonic() < end, self.log_text()[-4000:]
            self.look_at_command_lines()
            threading.Event().wait(0.02)

    def look_at_command_lines(self) -> None:
        """Of the processes of this stage, and of those that they have started."""
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                ours = b"PLANTED_PASSWORD" in (folder / "environ").read_bytes()
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it has ended, or is somebody else's
                continue
            if ours:
                self.command_lines.add(line)

    # Building

    def _build(self, stack: ExitStack) -> None:
        self.etcd = stack.enter_context(EmbeddedEtcd(self.folder / "etcd"))
        self.written("etcd-password", self.etcd_password)
        self._guard_etcd()
        self.etcd_settings = EtcdSettings(
            endpoints=[self.etcd.endpoint],
            timeout=2,
            username="root",
            password_file=self.written("own", self.etcd_password),
        )
        self.store, self.keys = connect(self.etcd_settings), Keys(self.etcd_settings.prefix)
        stack.callback(self.store.close)
        self.authority, other = Authority(self.folder), Authority(self.folder, "other")
        for name in (*WORKING, *FAILING):
            context = None
            if name in ("team_b", "bad_tls"):
                pair = (self.authority if name == "team_b" else other).issue(f"airflow-{name}")
                self.secrets.add_key(pair.key)
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(pair.cert, pair.key)
            airflow = self.airflows[name] = stack.enter_context(StandInAirflow(tls=context))
            password = self.variables["PLANTED_PASSWORD"] if name == "default" else new_secret(name)
            airflow.logins.users["admin"] = (password, "admin")
            airflow.dag("A", auto=0)
            airflow.dag("R", auto=0)
            airflow.on_state(lambda run, name=name: self._report(name, run))
        self._let_them_fail()
        self.config.write_text(self._configuration())

    def _guard_etcd(self) -> None:
        rpc = import_etcd3().etcdrpc
        with import_etcd3().client(host="127.0.0.1", port=self.etcd.port) as client:
            auth = rpc.AuthStub(client.channel)
            auth.UserAdd(rpc.AuthUserAddRequest(name="root", password=self.etcd_password))
            auth.RoleAdd(rpc.AuthRoleAddRequest(name="root"))
            auth.UserGrantRole(rpc.AuthUserGrantRoleRequest(user="root", role="root"))
            auth.AuthEnable(rpc.AuthEnableRequest())

    def _let_them_fail(self) -> None:
        echo, shout = self.airflows["echo"], self.airflows["shout"]
        password = echo.logins.users["admin"][0]
        self.echo_token = str(echo.logins.token("admin", password))
        sent = f"Authorization: Bearer {self.echo_token}"
        body = {"detail": f"you sent {sent}", "request": sent}
        echo.faults.next("trigger", Fault.answer(500, body), Fault.answer(503, sent))
        echo.faults.always("trigger", Fault.answer(403, body))
        login = {"username": "admin", "password": shout.logins.users["admin"][0]}
        complaint = [{"loc": ["body", "password"], "msg": f"not {login['password']}", "input": login}]
        shout.faults.next("login", Fault.answer(500, {"detail": login}), Fault.answer(200, login))
        shout.faults.always("login", Fault.answer(422, {"detail": complaint}))
        self.airflows["cut"].faults.always("login", Fault.cut_after())

    def _configuration(self) -> str:
        def password(name: str) -> str:
            return str(self.written(f"{name}-password", self.airflows[name].logins.users["admin"][0]))

        team_b = self.airflows["team_b"].logins
        token = str(team_b.token("admin", team_b.users["admin"][0]))
        pair = self.authority.issue("http")
        self.secrets.add_key(pair.key)
        self.listen = f"127.0.0.1:{free_port()}"
        ca_cert = f'ca_cert = "{self.authority.cert}"'
        credentials = {
            "default": 'username = "admin"\npassword_env = "PLANTED_PASSWORD"',
            "team_b": f'token_file = "{self.written("token", token)}"\n{ca_cert}',
            "team_c": f'username = "admin"\npassword_command = ["cat", "{password("team_c")}"]',
            "broken": "token_command = "
            + json.dumps([sys.executable, "-c", SHOUT, str(self.written("shout", plain_secret("command")))]),
            "wrong": f'username = "admin"\npassword_file = "{self.written("wrong", new_secret("not-it"))}"',
            "bad_tls": f'username = "admin"\npassword_file = "{password("bad_tls")}"\n{ca_cert}',
            "echo": f'token_file = "{self.written("echo-token", self.echo_token)}"',
            "shout": f'username = "admin"\npassword_file = "{password("shout")}"',
            "cut": f'username = "admin"\npassword_file = "{password("cut")}"',
        }
        sections = [
            f"[environments.{name}]\nurl = {json.dumps(self.airflows[name].base_url)}\nrequest_timeout = 1.0\n{lines}"
            for name, lines in credentials.items()
        ]
        return "\n".join(
            [
                f'[etcd]\nendpoints = ["{self.etcd.endpoint}"]\ntimeout = 2\nusername = "root"',
                f'password_file = "{self.etcd_password_file}"',
                f'[http]\nlisten = "{self.listen}"\ncert = "{pair.cert}"\nkey = "{pair.key}"',
                "[watcher]\nlease_ttl = 2\nlook_timeout = 0.5\nfollow_after = 1.0\nblocked_retry = 0.5",
                f'backoff_initial = 0.05\nbackoff_max = 0.3\ndecision_log = "{self.decision_log}"',
                *sections,
            ]
        )

    # Playing

    def _watcher(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "coordinator.cli", "watch", "--config", str(self.config)]
        command += ["--dependencies", str(self.dependencies), "--max-runtime", "240"]
        with self.log.open("wb") as output:
            self._watching = subprocess.Popen(
                command, env=self.environ(COORDINATOR_LOG_LEVEL="debug"), stdout=output, stderr=output
            )
        self._stack.callback(self._end_watcher)
        return self._watching

    def _end_watcher(self) -> None:
        if self._watching.poll() is None:
            self._watching.send_signal(signal.SIGKILL)
        self._watching.wait(10)

    def _report(self, name: str, run: ObservedRun) -> None:
        document = RunStateDocument(state=run.state, run_id=run.run_id, queued_at=run.queued_at)
        if run.state is not State.QUEUED:
            write_report(self.store, self.keys, Target(PipelineRef(name, run.dag_id), partition_of(run)), document)

    def _ask_over_http(self, watcher: subprocess.Popen[bytes]) -> None:
        """As somebody who sends a credential to where none is asked for."""
        for path in ("/healthz", "/readyz", "/metrics", "/nowhere"):
            for method in ("GET", "POST"):
                answer = requests.request(
                    method,
                    f"https://{self.listen}{path}",
                    headers={"Authorization": f"Bearer {self.sent_token}"},
                    verify=str(self.authority.cert),
                    timeout=10,
                )
                self.texts[f"{method} {path}"] = f"{answer.headers}\n{answer.text}"
        with socket.create_connection(self.listen.split(":"), timeout=10) as plain:  # type: ignore[arg-type]
            plain.sendall(f"GET /healthz HTTP/1.1\r\nAuthorization: Bearer {self.sent_token}\r\n\r\n".encode())
            with contextlib.suppress(ConnectionResetError):
                assert plain.recv(1) == b"", "it speaks TLS alone"
        self.until(lambda: "http.broken_off" in self.log_text())
        assert watcher.poll() is None
