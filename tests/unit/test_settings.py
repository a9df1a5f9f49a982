"""Settings: a variable wins over the file, an error names its place, and a credential is never shown."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from coordinator.config.airflow import AirflowSettings
from coordinator.config.etcd import EtcdSettings
from coordinator.config.http import HttpSettings
from coordinator.config.loading import load_settings
from coordinator.config.settings import Settings
from coordinator.errors import ConfigurationError

SECRET = "correct-horse-battery"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("COORDINATOR_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "coordinator.toml"


def refused(file: Path | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    return str(caught.value)


def test_nothing_given_is_a_local_etcd_and_no_environment() -> None:
    settings = load_settings()
    assert settings.etcd.endpoints == ["127.0.0.1:2379"]
    assert settings.etcd.prefix == "/coordinator"
    assert settings.environments == {}
    assert settings.watcher.lease_ttl == 10


def test_the_designs_example_is_read(file: Path) -> None:
    file.write_text(
        """
        [etcd]
        endpoints = ["127.0.0.1:2379"]
        [environments.default]
        kind = "airflow"
        url = "http://127.0.0.1:8080"
        username = "admin"
        password_env = "AIRFLOW_DEFAULT_PASSWORD"
        [http]
        listen = "127.0.0.1:8600"
        """
    )
    settings = load_settings(file)
    assert settings.airflows["default"].url == "http://127.0.0.1:8080"
    assert settings.http.listen == "127.0.0.1:8600"


def test_a_variable_wins_over_the_file_value_by_value(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('[etcd]\nendpoints = ["10.0.0.1:2379"]\nprefix = "/from-file"\n[watcher]\nlease_ttl = 20\n')
    monkeypatch.setenv("COORDINATOR_ETCD__ENDPOINTS", '["10.0.0.2:2379", "10.0.0.3:2379"]')
    monkeypatch.setenv("COORDINATOR_WATCHER__BACKOFF_MAX", "60")
    settings = load_settings(file)
    assert settings.etcd.endpoints == ["10.0.0.2:2379", "10.0.0.3:2379"]
    assert settings.etcd.prefix == "/from-file"
    assert settings.watcher.lease_ttl == 20
    assert settings.watcher.backoff_max == 60.0


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("COORDINATOR_ETCD__ENDPOINTS", "10.0.0.1:2379", """is not JSON; expected a list as JSON, such as '["10."""),
        ("coordinator_etcd__endpoints", "10.0.0.1:2379", """is not JSON; expected a list as JSON, such as '["10."""),
        ("COORDINATOR_ETCD__ENDPOINTS", '"10.0.0.1:2379"', """etcd.endpoints: expected a list as JSON, such as '["""),
        ("COORDINATOR_ETCD", "10.0.0.1:2379", """is not JSON; expected a section as JSON, such as '{"prefix": "/"""),
        ("COORDINATOR_ETCD", "[]", "etcd: expected a section as JSON, such as"),
        ("COORDINATOR_ENVIRONMENTS", "team_b", "is not JSON; expected a section as JSON, such as"),
        ("COORDINATOR_ENVIRONMENTS__team_b", "x", "environments.team_b: expected a section as JSON, such as"),
    ],
)
def test_a_variable_that_should_hold_json_is_named_with_an_example(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{variable}: ")
    assert expected in str(caught.value)


def test_an_environment_can_be_given_and_changed_by_variables(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('[environments.default]\nurl = "http://file"\nusername = "ann"\n')
    monkeypatch.setenv("COORDINATOR_ENVIRONMENTS__default__URL", "http://variable")
    monkeypatch.setenv("COORDINATOR_ENVIRONMENTS__team_b__URL", "http://team-b")
    environments = load_settings(file).airflows
    assert (environments["default"].url, environments["default"].username) == ("http://variable", "ann")
    assert environments["team_b"].url == "http://team-b"


def test_the_file_may_be_named_by_a_variable_and_an_argument_wins(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('[etcd]\nprefix = "/by-variable"\n')
    monkeypatch.setenv("COORDINATOR_CONFIG", str(file))
    assert load_settings().etcd.prefix == "/by-variable"
    other = tmp_path / "other.toml"
    other.write_text('[etcd]\nprefix = "/by-argument"\n')
    assert load_settings(other).etcd.prefix == "/by-argument"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("[etcd]\nendpoint = []\n", "etcd.endpoint", "unknown setting; did you mean endpoints?"),
        ("[etcd]\nendpoints = []\n", "etcd.endpoints", "at least 1 item"),
        ('[etcd]\nendpoints = ["http://x:1"]\n', "etcd.endpoints", "expected 'host:port'"),
        ('[etcd]\nprefix = "coordinator"\n', "etcd.prefix", "must start with '/'"),
        ('[etcd]\nprefix = "/"\n', "etcd.prefix", "must start with '/'"),
        ("[etcd]\ntimeout = 0\n", "etcd.timeout", "greater than 0"),
        ("[environments.default]\n", "environments.default.url", "is required"),
        (
            '[environments.default]\nurl = "http://x"\nmax_inflight = 3\n',
            "environments.default.max_inflight",
            "unknown setting; did you mean max_in_flight?",
        ),
        ("[etcd]\nqqq = 1\n", "etcd.qqq", "unknown setting"),
        ('[environments.default]\nurl = "127.0.0.1:8080"\n', "environments.default.url", "is not a URL"),
        (
            '[environments.default]\nurl = "http://x"\nmax_in_flight = 0\n',
            "environments.default.max_in_flight",
            "greater than or equal to 1",
        ),
        ('[environments.default]\nurl = "http://x"\nkind = "jenkins"\n', "environments.default.kind", "'airflow'"),
        ("[watcher]\nlease_ttl = 1\n", "watcher.lease_ttl", "greater than or equal to 2"),
        ("[wacher]\nlease_ttl = 10\n", "wacher", "unknown setting; did you mean watcher?"),
    ],
)
def test_a_mistake_is_refused_with_file_place_and_reason(file: Path, text: str, place: str, reason: str) -> None:
    file.write_text(text)
    message = refused(file)
    assert f"{file}: {place}" in message
    assert reason in message


def test_every_mistake_is_told_at_once(file: Path) -> None:
    file.write_text('[etcd]\ntimeout = -1\n[watcher]\nlease_ttl = "soon"\n')
    assert len(refused(file).splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "reason"), [(b"[etcd\n", "line 1"), (b"\xff\xfe", "cannot be read"), (b"a = 1\na = 2\n", "line 2")]
)
def test_a_file_that_is_no_toml_is_refused_with_its_place(file: Path, text: bytes, reason: str) -> None:
    file.write_bytes(text)
    message = refused(file)
    assert str(file) in message
    assert reason in message


def test_a_file_that_is_not_there_is_refused_and_the_remedy_named(file: Path) -> None:
    assert "no such file; name the configuration with --config or COORDINATOR_CONFIG" in refused(file)


def test_a_variable_with_a_mistake_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_WATCHER__LEASE_TTL", "soon")
    message = refused()
    assert "COORDINATOR_WATCHER__LEASE_TTL: watcher.lease_ttl" in message


def test_a_mistake_in_a_variable_is_not_blamed_on_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[watcher]\nlease_ttl = 1\n")
    monkeypatch.setenv("COORDINATOR_ETCD__ENDPOINT", '["127.0.0.1:1"]')
    assert sorted(line.partition(": ")[0] for line in refused(file).splitlines()) == [
        str(file),
        "COORDINATOR_ETCD__ENDPOINT",
    ]


def airflow(**fields: object) -> AirflowSettings:
    return AirflowSettings.model_validate({"url": "http://127.0.0.1:8080", **fields})


def test_a_credential_is_read_from_where_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret_file = tmp_path / "secret"
    secret_file.write_text(f"{SECRET}\n")
    monkeypatch.setenv("THE_SECRET", SECRET)
    assert airflow(password_env="THE_SECRET").password("default") == SECRET
    assert airflow(password_file=secret_file).password("default") == SECRET
    assert airflow(token_env="THE_SECRET").token("default") == SECRET
    assert airflow(token_file=secret_file).token("default") == SECRET
    assert EtcdSettings(password_env="THE_SECRET").password() == SECRET
    assert EtcdSettings(password_file=secret_file).password() == SECRET
    assert airflow().password("default") is None
    assert EtcdSettings().password() is None


def test_a_credential_that_is_not_there_is_named_with_its_owner(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"environments\.team_b: the environment variable NOT_SET is not set"):
        airflow(password_env="NOT_SET").password("team_b")
    with pytest.raises(ConfigurationError, match=r"etcd: the credential file .*nowhere cannot be read"):
        EtcdSettings(password_file=tmp_path / "nowhere").password()


def test_a_credential_written_into_the_file_is_refused_and_not_repeated(file: Path) -> None:
    file.write_text(f'[environments.default]\nurl = "http://x"\npassword = "{SECRET}"\n')
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    assert "environments.default.password" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_credential_is_in_no_text_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret_file = tmp_path / "secret"
    secret_file.write_text(SECRET)
    monkeypatch.setenv("THE_SECRET", SECRET)
    environment = airflow(password_env="THE_SECRET", token_file=secret_file)
    settings = Settings(environments={"default": environment})
    assert environment.password("default") == environment.token("default") == SECRET
    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(environment)):
        assert SECRET not in text


def test_a_credential_may_come_from_a_command() -> None:
    say = ["printf", "%s\\n", SECRET]
    assert airflow(password_command=say).password("default") == SECRET
    assert airflow(token_command=say).token("default") == SECRET
    assert EtcdSettings(password_command=say).password() == SECRET


@pytest.mark.parametrize(
    ("section", "kind"),
    [("etcd", "password"), ("environments.default", "password"), ("environments.default", "token")],
)
@pytest.mark.parametrize("pair", [("env", "file"), ("env", "command"), ("file", "command")])
def test_two_places_for_one_credential_are_refused_by_name(
    file: Path, section: str, kind: str, pair: tuple[str, str]
) -> None:
    values = {"env": '"NAME"', "file": '"/file"', "command": '["program"]'}
    lines = [f"[{section}]", *(["url = 'http://x'"] if section.startswith("env") else [])]
    file.write_text("\n".join([*lines, *(f"{kind}_{how} = {values[how]}" for how in pair)]))
    assert f"{kind}_{pair[0]} and {kind}_{pair[1]} are set, and only one can hold" in refused(file)


@pytest.mark.parametrize("command", ["'vault read x'", "[]", "[1]"])
def test_a_command_is_a_list_of_words(file: Path, command: str) -> None:
    file.write_text(f"[etcd]\npassword_command = {command}\n")
    assert f"{file}: etcd.password_command" in refused(file)


def test_a_command_can_be_given_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDINATOR_ETCD__PASSWORD_COMMAND", '["printf", "x y"]')
    assert load_settings().etcd.password() == "x y"


@pytest.mark.parametrize(
    "text",
    [
        f'[environments.default]\nurl = "http://admin:{SECRET}@127.0.0.1:8080"\n',
        f'[environments.default]\nurl = "admin:{SECRET}@127.0.0.1"\n',
        f'[environments.default]\nurl = "http://x/?token={SECRET}"\n',
        f'[environments.default]\nurl = "http://x/#{SECRET}"\n',
        f'[etcd]\nendpoints = ["root:{SECRET}@127.0.0.1:2379"]\n',
        f'[etcd]\nendpoints = ["http://root:{SECRET}@127.0.0.1:2379"]\n',
        f'[http]\nlisten = "x:{SECRET}"\n',
    ],
)
def test_an_address_with_a_credential_in_it_is_refused_and_not_repeated(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_section_by_itself_does_not_repeat_what_it_refuses() -> None:
    """Programs make them without a file."""
    for section, field in ((EtcdSettings, "password"), (AirflowSettings, "url"), (HttpSettings, "listen")):
        with pytest.raises(ValueError, match=field) as caught:
            section.model_validate({field: f"{SECRET}@"})
        assert SECRET not in str(caught.value)


def test_settings_do_not_change_once_read() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.etcd.prefix = "/other"


# [http]


@pytest.mark.promise("http")
@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:8600", "127.0.0.1", 8600),
        (":8600", "127.0.0.1", 8600),
        ("8600", "127.0.0.1", 8600),
        (8600, "127.0.0.1", 8600),
        ("localhost:8600", "localhost", 8600),
        ("[::1]:8600", "::1", 8600),
        ("[::]:8600", "::", 8600),
        ("0.0.0.0:8600", "0.0.0.0", 8600),
        ("watcher.example:0", "watcher.example", 0),
    ],
)
def test_without_a_host_it_listens_on_this_machine_alone(listen: object, host: str, port: int) -> None:
    settings = HttpSettings.model_validate({"listen": listen})
    assert (settings.host, settings.port) == (host, port)


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "", ":-1", "::1"])
def test_what_is_no_address_is_refused(file: Path, listen: str) -> None:
    file.write_text(f'[http]\nlisten = "{listen}"\n')
    assert "expected 'host:port'" in refused(file)


@pytest.mark.parametrize("key", ["token_env", "token_file", "token_command"])
def test_a_token_for_reading_health_is_refused_and_not_ignored(file: Path, key: str) -> None:
    file.write_text(f'[http]\nlisten = "8600"\n{key} = "x"\n')
    assert f"http.{key}: unknown setting" in refused(file)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('cert = "/c"', "belong together"),
        ('key = "/k"', "belong together"),
        ('client_ca = "/ca"', "client_ca is set without cert and key"),
    ],
)
def test_half_of_tls_is_refused(file: Path, text: str, reason: str) -> None:
    file.write_text(f"[http]\n{text}\n")
    assert reason in refused(file)
