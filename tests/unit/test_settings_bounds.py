"""coordinator.toml: what cannot work is refused when it is read, with its place, and never with a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coordinator.config.loading import load_settings
from coordinator.errors import ConfigurationError
from coordinator.model import bounds

ENVIRONMENT = '[environments.default]\nurl = "http://127.0.0.1:1"\n'


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("COORDINATOR_"):
            monkeypatch.delenv(name)


def refused(text: str | bytes, tmp_path: Path) -> str:
    file = tmp_path / "coordinator.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    assert len(str(caught.value)) < 5000
    return str(caught.value)


@pytest.mark.promise("bad-input")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = " + "9" * 5000, "cannot be read"),
        ("x = " + "[" * 50_000, "nested too deep"),
        (b"\xff\xfe", "cannot be read"),
        ("#" * (bounds.CONFIGURATION + 1), f"more than {bounds.CONFIGURATION} bytes"),
        ("_cli_parse_args = true", "_cli_parse_args: unknown section"),
        ("_env_file = '/etc/passwd'", "_env_file: unknown section"),
        (ENVIRONMENT + "request_timeout = inf", "environments.default.request_timeout"),
        (ENVIRONMENT + "request_timeout = nan", "environments.default.request_timeout"),
        (ENVIRONMENT + "request_timeout = 1e300", "environments.default.request_timeout"),
        (ENVIRONMENT + 'password_file = "\\u0000"\nusername = "u"', "NUL"),
        ("[watcher]\nblocked_retry = inf", "watcher.blocked_retry"),
        ("[watcher]\nlease_ttl = 99999999999", "watcher.lease_ttl"),
        ("[etcd]\ntimeout = inf", "etcd.timeout"),
        ('[etcd]\nendpoints = ["h:²"]', "is not an endpoint"),
        ('[etcd]\nendpoints = ["h:65536"]', "is not an endpoint"),
        ('[etcd]\nendpoints = ["http://h:2379"]', "without 'http://' and without a path"),
        ('[etcd]\nendpoints = ["h\\n:1"]', "is not an endpoint"),
        ('[environments.default]\nurl = "http://["', "is not a URL"),
        ('[environments.default]\nurl = "http://a..b:8080"', "is not a URL"),
        ('[environments.default]\nurl = "http://%s:8080"' % ("a" * 64), "is not a URL"),
        ('[environments.default]\nurl = "http://h:99999"', "is not a URL"),
        ('[environments.default]\nurl = "http://h:x"', "is not a URL"),
        ('[environments.default]\nurl = "http://"', "is not a URL"),
        ('[environments.default]\nurl = "http://h/a b"', "is not a URL"),
        ('[environments."a/b"]\nurl = "http://h"', "is not an environment name"),
        ('[environments."a\\nb"]\nurl = "http://h"', "is not an environment name"),
        ('[environments."\\u001b[31m"]\nurl = "http://h"', "is not an environment name"),
        ('[environments.""]\nurl = "http://h"', "is not an environment name"),
        ('[environments.%s]\nurl = "http://h"' % ("e" * 251), "is not an environment name"),
        ('[reporter]\nenvironment = "a/b"', "is not an environment name"),
        ("[retention]\nmax_age = 36", "retention.max_age: Input should be a valid string"),
        ('[retention]\nmax_age = ""', "retention.max_age: expected a duration such as '36 hours'"),
        ('[retention]\nacts = "4000 days"', "retention.acts: expected a duration of at most 3660 days"),
        (
            '[retention]\nevery = "0 hours"',
            "retention.every: '0 hours' is not a positive duration; expected one such as",
        ),
        ('[retention]\ngive_up_after = "0 days"', "retention.give_up_after: '0 days' is not a positive duration"),
        ('[publication]\nresume_within = "P7D"', "publication.resume_within: expected a duration such as '36 hours'"),
        ("[publication]\nresume_within = 00:30:00", "publication.resume_within: Input should be a valid string"),
    ],
)
def test_what_cannot_work_is_refused(text: str | bytes, said: str, tmp_path: Path) -> None:
    assert said in refused(text, tmp_path)


def test_a_file_without_end_is_read_up_to_the_bound() -> None:
    with pytest.raises(ConfigurationError, match="more than"):
        load_settings("/dev/zero")


def test_a_path_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_settings("a\0b")


@pytest.mark.parametrize("url", ["http://[::1]:8080", "https://airflow.example.org/base/", "http://bücher.example:1"])
def test_what_works_is_accepted(url: str, tmp_path: Path) -> None:
    file = tmp_path / "coordinator.toml"
    file.write_text(f'[environments.default]\nurl = "{url}"\n', encoding="utf-8")
    assert load_settings(file).airflows["default"].url == url.rstrip("/")
