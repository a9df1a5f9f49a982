"""The command line where environments are commands: ``doctor``, ``validate``, ``plan``, ``status``, ``explain``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.config.etcd import EtcdSettings
from coordinator.config.loading import load_settings
from coordinator.store.embedded import free_port
from coordinator.ui.airflow_pages import airflow_pages
from tests.command_line import Cli
from tests.integration.commands.playground import Commands
from tests.integration.commands.watched import PARTITION, WatchedCommands


@pytest.fixture
def watched(etcd_settings: EtcdSettings, commands: Commands, tmp_path: Path) -> Iterator[WatchedCommands]:
    watched = WatchedCommands(etcd_settings, commands, tmp_path)
    watched.dependencies({"jobs/first": "jobs/source", "jobs/second": "jobs/first"})
    yield watched
    watched.close()


def findings(cli: Cli, watched: WatchedCommands, subject: str = "environment jobs") -> list[dict[str, Any]]:
    """What ``doctor`` says of a subject, and nothing of reporters, which commands do not have."""
    told = cli("doctor", "--config", watched.config, "--dependencies", watched.file, "--json")
    found = json.loads(told.stdout)["findings"]
    assert not [one for one in found if one["subject"].startswith("reporters")]
    return [one for one in found if one["subject"] == subject]


def test_doctor_finds_nothing_wrong(cli: Cli, watched: WatchedCommands) -> None:
    (found,) = findings(cli, watched)
    assert (found["grade"], found["found"]) == ("ok", "kind command, 3 pipelines there and not paused")


def test_doctor_names_programs_that_are_not_there_and_commands_that_are_not_configured(
    cli: Cli, watched: WatchedCommands
) -> None:
    watched.dependencies({"jobs/first": "jobs/source", "jobs/third": "jobs/first"})
    text = watched.config.read_text()
    place = text.index("/bin/sh", text.index("commands.second]"))
    watched.config.write_text(text[:place] + "/bin/no-such" + text[place + len("/bin/sh") :])
    missing, unusable = findings(cli, watched)
    assert missing["found"] == "pipelines that do not exist there: third"
    assert "import" not in missing["remedy"]
    assert unusable["found"] == "second cannot run: /bin/no-such is not there, or is not executable"
    assert unusable["remedy"] == "correct it in [environments.jobs]"
    assert missing["grade"] == unusable["grade"] == "problem"


def test_doctor_says_what_is_wrong_with_the_directory_and_what_to_type(
    cli: Cli, watched: WatchedCommands, commands: Commands
) -> None:
    commands.directory.chmod(0o777)
    (found,) = findings(cli, watched)
    assert "others may write to" in found["found"]
    commands.directory.chmod(0o700)
    commands.directory.rmdir()
    (found,) = findings(cli, watched)
    assert f"environments.jobs.directory: {commands.directory} cannot be used" in found["found"]
    assert f"install -d -m 700 {commands.directory}" in found["remedy"]


def test_tasks_and_assets_of_commands_are_problems(cli: Cli, watched: WatchedCommands) -> None:
    watched.dependencies(
        {
            "jobs/first": {"upstream": {"pipeline": "jobs/source", "task": "load"}},
            "jobs/second": {"upstream": {"asset": "s3://lake", "environment": "jobs"}},
        }
    )
    (found,) = findings(cli, watched)
    assert found["found"] == "pipeline source has no task 'load', which something waits for"
    (found,) = findings(cli, watched, "asset events of jobs")
    assert found["found"] == "its asset events are needed, and it is no Airflow but of the kind command"


def test_validate_and_plan_know_the_commands(cli: Cli, watched: WatchedCommands) -> None:
    validated = cli("validate", watched.file, "--config", watched.config)
    assert validated.exit_code == 0, validated.stdout + validated.stderr
    watched.dependencies({"jobs/third": "jobs/source", "elsewhere/load": "jobs/source"})
    validated = cli("validate", watched.file, "--config", watched.config)
    assert validated.exit_code == 1
    assert "elsewhere" in validated.stdout + validated.stderr
    watched.dependencies({"jobs/third": "jobs/source"})
    planned = cli("plan", watched.file, "--config", watched.config)
    assert planned.exit_code == 0, planned.stdout + planned.stderr
    told = " ".join(planned.stdout.split())
    assert "warning: environment jobs: pipelines that do not exist there: third" in told


def test_status_and_explain_speak_of_commands_as_of_any_pipeline(cli: Cli, watched: WatchedCommands) -> None:
    applied = cli("apply", watched.file, "--config", watched.config, "--yes")
    assert applied.exit_code == 0, applied.stdout + applied.stderr
    watched.complete("source")
    explained = cli("explain", "jobs/first", PARTITION, "--config", watched.config)
    assert explained.exit_code == 0, explained.stdout + explained.stderr
    assert "jobs/first" in explained.stdout
    told = cli("status", "--config", watched.config, "--all")
    assert "jobs/first" in told.stdout
    assert "never heard" not in told.stdout, "nobody reports from there"


def test_the_page_links_to_no_page_of_commands(watched: WatchedCommands) -> None:
    with watched.config.open("a") as file:
        file.write(f'[environments.default]\nurl = "http://127.0.0.1:{free_port()}"\n')
    settings = load_settings(watched.config)
    assert settings.environments["jobs"].pages is None
    assert airflow_pages(settings.airflows).keys() == {"default"}
