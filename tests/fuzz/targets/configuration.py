"""coordinator.toml: settings that can be used, or an error that says what is wrong with them."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from coordinator.config.loading import load_settings
from coordinator.config.settings import Settings
from coordinator.controller.dispatch.dispatcher import limits_by_environment
from coordinator.errors import ConfigurationError
from coordinator.runners.making import make_runner
from coordinator.store.keys import Keys
from tests.fuzz.tape import Tape, tape_of

FORM: dict[str, dict[str, Any]] = {
    "etcd": {"endpoints": ["127.0.0.1:2379"], "prefix": "/c", "timeout": 5.0, "username": "u", "password_env": "NO"},
    "environments.default": {
        "kind": "airflow",
        "url": "http://127.0.0.1:1",
        "username": "admin",
        "password_file": "p",
        "max_in_flight": 1,
        "max_runs_in_flight": 4,
        "max_starts_per_minute": 60,
        "request_timeout": 5.0,
    },
    "environments.jobs": {"kind": "command", "host": "h", "directory": "/d", "partition_characters": "-"},
    "environments.jobs.commands.load": {
        "argv": ["/bin/true"],
        "working_directory": "/",
        "pass_env": ["SECRET"],
        "timeout": "1 hour",
    },
    "watcher": {"lease_ttl": 10, "fresh_for": 1.0, "look_timeout": 2.0, "decision_log": "-", "blocked_retry": 60},
    "retention": {"max_age": "90 days", "max_partitions": 5, "every": "1 hour"},
    "http": {"listen": "127.0.0.1:8600"},
    "reporter": {"environment": "default", "outbox": "/tmp/o"},
}
WORDS = (
    *FORM,
    *(name for section in FORM.values() for name in section),
    *("[", "]", "[[", "=", '"""', "'''", "inf", "nan", "1e400", "2026-11-20", "{", "true", "\\u0000", "\\n"),
    *("http://[", "http://a..b", "http://h:99999", "127.0.0.1:²", "_env_file", "_cli_parse_args", "_secrets_dir"),
)
_LITERALS = (
    *("inf", "nan", "-1", "0", "1e308", "9" * 5000, "true", "{}", "[]", '""', '"\\u0000"', '"a\\nb"', "[" * 3000),
    *('"http://["', '"http://a..b"', '"http://h:99999"', '"http://@h"', '"http://\\u0000"', '["h:²"]', '["h:0"]'),
    *(
        '"http://x y"',
        '"http://"',
        '"ftp://h"',
        '"http://' + "a" * 300 + '"',
        '["[::1]:2379"]',
        '"1 day"',
        "2026-11-20",
    ),
)
_SECTIONS = ("environments.'..'", 'environments."a/b"', 'environments."\\u001b"', "environments", "_env_file", "x")


def text_of(data: bytes) -> bytes:
    tape = tape_of(data)
    return data if tape is None else _document(tape).encode("utf-8", "replace")


def _document(tape: Tape) -> str:
    lines = []
    for section, fields in FORM.items():
        if tape.below(3) == 1:
            continue
        lines.append(f"[{tape.one_of(_SECTIONS) if tape.below(8) == 1 else section}]")
        for name, value in fields.items():
            if tape.below(4) == 1:
                continue
            literal = tape.one_of(_LITERALS) if tape.below(6) == 1 else _toml(value)
            lines.append(f"{tape.one_of(WORDS) if tape.below(24) == 1 else name} = {literal}")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def settings(data: bytes) -> None:
    descriptor = os.memfd_create("fuzzed")
    try:
        os.write(descriptor, text_of(data))
        loaded = load_settings(Path(f"/proc/self/fd/{descriptor}"))
    except ConfigurationError as error:
        str(error).encode()
        return
    finally:
        os.close(descriptor)
    _can_be_used(loaded)


def _can_be_used(loaded: Settings) -> None:
    prefix = Keys(loaded.etcd.prefix)
    assert prefix.parse(prefix.leader) is not None
    limits_by_environment(loaded)
    assert loaded.retention.max_age is None or loaded.retention.max_age > timedelta()
    assert loaded.retention.every > timedelta()
    for name, environment in loaded.environments.items():
        try:
            runner = make_runner(name, environment)
        except ConfigurationError:
            continue
        for source in environment.credentials(name):
            with suppress(ConfigurationError):
                source.read()
        runner.close()
