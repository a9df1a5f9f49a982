"""Credentials where they do not belong, and wrong ones: refused, and not repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.planted.conftest import clean, run
from tests.integration.planted.secrets import new_secret, plain_secret
from tests.integration.planted.stage import Stage

pytestmark = pytest.mark.promise("secrets")

BAD_CONFIGURATIONS = {
    "a password in it": '[etcd]\npassword = "{}"\n',
    "a password of an environment": '[environments.x]\nurl = "http://x"\npassword = "{}"\n',
    "a credential in a URL": '[environments.x]\nurl = "http://admin:{}@127.0.0.1:1"\n',
    "a credential in no URL": '[environments.x]\nurl = "admin:{}@127.0.0.1:1"\n',
    "a token in a URL": '[environments.x]\nurl = "http://127.0.0.1:1/?token={}"\n',
    "a credential in an endpoint": '[etcd]\nendpoints = ["http://root:{}@127.0.0.1:2379"]\n',
    "a wrong type": '[etcd]\nusername = ["{}"]\n',
    "a section that is a word": 'etcd = "{}"\n',
    "no end of a string": '[etcd]\npassword = "{}\n',
    "no TOML": "[etcd]\npassword = {}\n",
    "twice": '[etcd]\npassword = "{0}"\npassword = "{0}"\n',
    "a command as a word": '[etcd]\nusername = "root"\npassword_command = "echo {}"\n',
    "a command that does not exist": '[etcd]\nusername = "root"\npassword_command = ["/nowhere", "{}"]\n',
    "a command that fails": '[etcd]\nusername = "root"\npassword_command = ["sh", "-c", "echo {0} >&2; exit 3"]\n',
    "a command that talks": '[etcd]\nusername = "root"\npassword_command = ["sh", "-c", "echo {0}; echo {0}"]\n',
    "an address": '[http]\nlisten = "{}"\n',
}


@pytest.mark.parametrize("name", BAD_CONFIGURATIONS)
def test_a_bad_configuration_is_refused_without_repeating_one(stage: Stage, tmp_path: Path, name: str) -> None:
    config = tmp_path / "bad.toml"
    good = '[environments.default]\nurl = "http://127.0.0.1:1"\n'
    config.write_text(BAD_CONFIGURATIONS[name].format(plain_secret("configured")) + good)
    for command in (["status"], ["doctor"], ["watch", "--max-runtime", "0.1"]):
        text = run(stage, *command, config=config)
        assert command[0] == "watch" or not text.startswith("0\n"), "a watcher bears with a command that fails"
        clean(stage, text, has="password_command" if name.startswith("a command that") else "bad.toml")


@pytest.mark.parametrize("variable", ["COORDINATOR_ETCD", "COORDINATOR_ETCD__PASSWORD", "COORDINATOR_ETCD__ENDPOINTS"])
def test_a_bad_variable_is_refused_without_repeating_one(stage: Stage, variable: str) -> None:
    for value in ('{{"password": "{}"}}', "{}", '["root:{}@127.0.0.1:1"]'):
        text = run(stage, "status", config=stage.config, **{variable: value.format(plain_secret("variable"))})
        assert not text.startswith("0\n"), text
        clean(stage, text, has="ConfigurationError")


def test_a_wrong_etcd_password_is_not_repeated(stage: Stage, tmp_path: Path) -> None:
    wrong = stage.written("wrong-etcd", new_secret("wrong-etcd"))
    config = tmp_path / "wrong.toml"
    config.write_text(f'[etcd]\nendpoints = ["{stage.etcd.endpoint}"]\nusername = "root"\npassword_file = "{wrong}"\n')
    for command in (["status"], ["doctor"], ["explain", "A"]):
        clean(stage, run(stage, *command, config=config), has="authentication failed")


@pytest.mark.parametrize("proxy", ["http://me:{}@127.0.0.1:1", "http://me:{}@:1", "me:{}@127.0.0.1:99999"])
def test_a_proxy_with_a_password_is_not_repeated(stage: Stage, proxy: str) -> None:
    address = proxy.format(plain_secret("proxy"))
    variables = {"HTTP_PROXY": address, "HTTPS_PROXY": address, "NO_PROXY": "", "http_proxy": address, "no_proxy": ""}
    text = run(stage, "doctor", config=stage.config, name="doctor", **variables)
    clean(stage, text, has="no answer")
