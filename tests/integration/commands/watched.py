"""Commands as pipelines of watchers, which are processes, on a real etcd."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coordinator.commands.report import make_document, write_report
from coordinator.config.etcd import EtcdSettings
from coordinator.model.references import PipelineRef, Target
from coordinator.model.runstate import RunStateDocument
from coordinator.model.trigger import Status, TriggerRecord, read_record
from coordinator.store.connection import connect
from coordinator.store.keys import Keys
from tests.integration.commands.playground import Commands
from tests.integration.controller.service import Service
from tests.integration.controller.waiting import until

PARTITION = "2026-11-20"

SCRIPT = 'echo "$COORDINATOR_PIPELINE $COORDINATOR_PARTITION $COORDINATOR_ATTEMPT" >> "$NOTES"'


class WatchedCommands:
    """An environment ``jobs`` with the commands ``source``, ``first``, ``second`` and ``flaky``, and its watchers.

    ``flaky`` fails, until :meth:`mend`. Nobody starts ``source``: tests report it.
    """

    def __init__(self, etcd: EtcdSettings, commands: Commands, directory: Path, *, host: str | None = None) -> None:
        self.commands = commands
        self.directory = directory
        self.mended = directory / "mended"
        self.file = directory / "dependencies.json"
        self.keys = Keys(etcd.prefix)
        self.store = connect(etcd)
        self.services: list[Service] = []
        self.config = directory / "coordinator.toml"
        scripts = {
            "source": SCRIPT,
            "first": SCRIPT,
            "second": SCRIPT,
            "flaky": f'{SCRIPT}; [ -e "{self.mended}" ]',
        }
        lines = [
            "[etcd]",
            f"endpoints = {json.dumps(etcd.endpoints)}",
            f"prefix = {json.dumps(etcd.prefix)}",
            "[watcher]",
            "lease_ttl = 3",
            "follow_after = 0.1",
            "blocked_retry = 0.5",
            "backoff_max = 0.5",
            "[environments.jobs]",
            'kind = "command"',
            f"host = {json.dumps(host or socket.gethostname())}",
            f"directory = {json.dumps(str(commands.directory))}",
            "request_timeout = 1.9",
        ]
        for name, script in scripts.items():
            lines += [
                f"[environments.jobs.commands.{name}]",
                f"argv = {json.dumps(['/bin/sh', '-c', script])}",
                f"env = {{ NOTES = {json.dumps(str(commands.notes))} }}",
            ]
        self.config.write_text("\n".join(lines) + "\n")

    def close(self) -> None:
        for service in self.services:
            service.end()
        self.store.close()

    def dependencies(self, document: Mapping[str, Any]) -> None:
        """Write the file, as names of commands: ``{"first": "source"}``."""
        self.file.write_text(json.dumps(document))

    def hold_back(self, name: str) -> Path:
        """Let a command wait before it does anything. Returns the file that lets it go on, to be made."""
        gate = self.directory / f"gate of {name}"
        text = self.config.read_text()
        place = text.index('"-c", "', text.index(f"commands.{name}]")) + len('"-c", "')
        waits = f"while ! [ -e '{gate}' ]; do sleep 0.05; done; "
        self.config.write_text(text[:place] + waits + text[place:])
        return gate

    def launch(self, *module: str) -> Service:
        """Start a watcher. :param module: what is run in place of the command line."""
        service = Service(
            self.config,
            "--dependencies",
            str(self.file),
            log=self.directory / f"watcher-{len(self.services) + 1}.log",
            module=module or ("coordinator.cli",),
        )
        self.services.append(service)
        return service

    def serve(self) -> Service:
        """Start a watcher, and wait until it leads and has published the file."""
        service = self.launch()
        until(lambda: service.is_ready() and service.leads(), "the watcher leads")
        until(lambda: self.store.get(self.keys.dependencies("default")) is not None, "the file is published")
        return service

    def complete(self, name: str, *, attempt: int = 1) -> None:
        """Report a success."""
        document = make_document("success", run_id="by hand", attempt=attempt)
        write_report(self.store, self.keys, _target(name), document)

    def state(self, name: str) -> RunStateDocument | None:
        """What stands in etcd."""
        found = self.store.get(self.keys.state(_target(name)))
        return RunStateDocument.model_validate_json(found.value) if found is not None else None

    def is_in(self, name: str, state: str) -> bool:
        found = self.state(name)
        return found is not None and found.state == state

    def record(self, name: str) -> TriggerRecord | None:
        found = self.store.get(self.keys.trigger(_target(name)))
        record = read_record(found.value) if found is not None else None
        assert record is None or isinstance(record, TriggerRecord)
        return record

    def is_done(self, name: str) -> bool:
        record = self.record(name)
        return record is not None and record.status is Status.DONE


def _target(name: str) -> Target:
    return Target(PipelineRef("jobs", name), PARTITION)
