"""``coordinator import``: what the files of other systems become, and what is said of the rest."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.config.airflow import AirflowSettings
from coordinator.model.documents import parse_document
from tests.command_line import Cli

PLAYGROUND = {"02": "01", "03": ["01"], "04": ["02", "03"]}

ORDERS = {
    "source_workflow_id": "orders",
    "target": {
        "on_success": [
            {"environment_name": "finance", "dag_id": "invoices"},
            {"environment_name": "sales", "dag_id": "report"},
        ],
        "on_failure": [{"environment_name": "finance", "dag_id": "alarm"}],
    },
}
STOCK = {
    "source_workflow_id": "stock",
    "target": {"on_success": [{"environment_name": "sales", "dag_id": "report"}], "on_failure": []},
}
ADDRESSES = {
    "finance": {"project_id": "acme-fin", "url": "https://fin-dot-europe.composer.googleusercontent.com/"},
    "sales": {"project_id": "acme-sales", "url": "https://sales-dot-europe.composer.googleusercontent.com"},
}


def put(directory: Path, name: str, content: Any) -> Path:
    path = directory / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def written(directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both files; the first one is read as a watcher reads it."""
    configuration = tomllib.loads((directory / "coordinator.toml").read_text())
    text = (directory / "dependencies.json").read_text()
    parse_document(text, source="dependencies.json", environments={"default", *configuration["environments"]})
    for settings in configuration["environments"].values():
        AirflowSettings.model_validate(settings)
    return json.loads(text), configuration


def test_the_playground_comes_over_as_it_is(cli: Cli, tmp_path: Path) -> None:
    file, out = put(tmp_path, "old.json", PLAYGROUND), tmp_path / "new"
    result = cli("import", "playground", file, "--output", out)
    assert result.exit_code == ExitCode.OK, result.stderr
    dependencies, _ = written(out)
    assert dependencies == {"02": "01", "03": "01", "04": ["02", "03"]}


def test_what_the_playground_did_not_check_is_told(cli: Cli, tmp_path: Path) -> None:
    file = put(tmp_path, "old.json", {**PLAYGROUND, "05": [], "06": "06", "07": 7})
    result = cli("import", "playground", file, "--output", tmp_path / "new", "--json")
    assert result.exit_code == ExitCode.PROBLEM
    told = json.loads(result.stdout)
    assert [one["place"].rpartition(" ")[2] for one in told["not_carried_over"]] == ["05", "06", "07"]
    assert told["pipelines"] == 3


def test_a_cycle_is_told_with_the_result(cli: Cli, tmp_path: Path) -> None:
    file = put(tmp_path, "old.json", {"A": "B", "B": "A"})
    result = cli("import", "playground", file, "--output", tmp_path / "new")
    assert result.exit_code == ExitCode.PROBLEM
    assert "cycle" in result.stderr


def test_composers_mappings_come_over(cli: Cli, tmp_path: Path) -> None:
    files = [
        put(tmp_path, "orders.json", ORDERS),
        put(tmp_path, "stock.json", STOCK),
        put(tmp_path, "composer-url-mapping-prod.json", ADDRESSES),
    ]
    result = cli("import", "composer", *files, "--environment", "sales", "--output", tmp_path / "new", "--json")
    told = json.loads(result.stdout)
    dependencies, configuration = written(tmp_path / "new")
    assert dependencies == {
        "finance/alarm": {"upstream": {"pipeline": "sales/orders", "on": "failure"}},
        "finance/invoices": "sales/orders",
        "sales/report": {"upstream": {"any": ["sales/orders", "sales/stock"]}},
    }
    assert configuration["environments"]["finance"] == {
        "kind": "composer",
        "url": "https://fin-dot-europe.composer.googleusercontent.com",
    }
    assert [one["place"] for one in told["to_look_at"]] == ["dependencies.json: sales/report", "coordinator.toml"]
    assert "airflow_version = 2" in told["to_look_at"][1]["what"]
    assert told["not_carried_over"] == []


def test_what_is_still_to_be_set_is_told(cli: Cli, tmp_path: Path) -> None:
    playground = cli("import", "playground", put(tmp_path, "old.json", PLAYGROUND), "--output", tmp_path / "a")
    assert '[compat] etl_state = "/etl_state/tasks"' in " ".join(playground.stdout.split())
    mappings = [put(tmp_path, "orders.json", ORDERS), put(tmp_path, "urls.json", {"sales": ADDRESSES["sales"]})]
    arguments = (*mappings, "--environment", "sales", "--output", tmp_path / "b", "--json")
    told = json.loads(cli("import", "composer", *arguments).stdout)
    assert told["to_set"] == [
        "[environments.finance] url",
        "airflow_version = 2 where it is an Airflow 2",
        "observe = true where it takes no plugin",
    ]


def test_of_two_addresses_the_one_that_is_kept_is_told(cli: Cli, tmp_path: Path) -> None:
    other = {"finance": {"project_id": "acme-dev", "url": "https://dev.example"}}
    files = [put(tmp_path, "orders.json", ORDERS), put(tmp_path, "a.json", other), put(tmp_path, "b.json", ADDRESSES)]
    told = json.loads(cli("import", "composer", *files, "--output", tmp_path / "new", "--json").stdout)
    whats = [one["what"] for one in told["not_carried_over"]]
    url = ADDRESSES["finance"]["url"].rstrip("/")
    assert f"left out: finance keeps the address of a file before, https://dev.example, and not {url}" in whats


def test_success_and_failure_of_one_workflow_are_its_end(cli: Cli, tmp_path: Path) -> None:
    target = [{"environment_name": "sales", "dag_id": "clean_up"}]
    mapping = {"source_workflow_id": "orders", "target": {"on_success": target, "on_failure": target}}
    cli("import", "composer", put(tmp_path, "orders.json", mapping), "--output", tmp_path / "new")
    dependencies, _ = written(tmp_path / "new")
    assert dependencies == {"sales/clean_up": {"upstream": {"pipeline": "orders", "on": "done"}}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"source_workflow_id": "a",}', "orders.json:1:27: trailing comma"),
        ('{"source_workflow_id": "a", "source_workflow_id": "b"}', "orders.json:1:29: the key 'source_workflow_id' is"),
        ('{"source_workflow_id": NaN}', "orders.json: NaN: JSON knows finite numbers only"),
        ("[]", "expected a JSON object"),
        ({"a": 1}, "neither a mapping"),
        ({"source_workflow_id": 7, "target": {}}, "orders.json: source_workflow_id: Input should be a valid string"),
        ({"source_workflow_id": " ", "target": {}}, "orders.json: source_workflow_id: String should have at least 1"),
        ({"source_workflow_id": "a", "target": {"on_success": {}}}, "target.on_success: Input should be a valid list"),
        ("[" * 100_000, "nested deeper than"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_place(
    cli: Cli, tmp_path: Path, content: Any, said: str
) -> None:
    result = cli("import", "composer", put(tmp_path, "orders.json", content), "--output", tmp_path / "new")
    assert result.exit_code != ExitCode.OK
    assert said in result.stderr
    assert not (tmp_path / "new").exists()


def test_mistakes_within_a_mapping_are_left_out_and_told(cli: Cli, tmp_path: Path) -> None:
    mapping = {
        "source_workflow_id": "orders",
        "owner": "me",
        "target": {
            "on_success": [{"environment_name": "finance"}, "x", {"environment_name": "a/b", "dag_id": "c"}],
            "on_sucess": [],
            "on_failure": [{"environment_name": "default", "dag_id": "orders"}],
        },
    }
    result = cli("import", "composer", put(tmp_path, "orders.json", mapping), "--output", tmp_path / "new", "--json")
    told = json.loads(result.stdout)
    places = [one["place"].rpartition("orders.json")[2] for one in told["not_carried_over"]]
    assert places == [
        ": target.on_success[0].dag_id",
        ": target.on_success[1]",
        ": target.on_success[2]",
        ": target.on_failure[0]",
        ": owner",
        ": target.on_sucess",
        "",
    ]
    assert told["pipelines"] == 0


def test_an_environment_without_an_address_is_one_of_composers(cli: Cli, tmp_path: Path) -> None:
    result = cli("import", "composer", put(tmp_path, "stock.json", STOCK), "--output", tmp_path / "new", "--json")
    told = json.loads(result.stdout)
    assert written(tmp_path / "new")[1]["environments"]["sales"]["kind"] == "composer"
    assert "environment 'sales' has no URL in any file: set [environments.sales] url" in {
        one["what"] for one in told["not_carried_over"]
    }


@pytest.mark.parametrize("name", ["a😀", 'quo"ted', "back\\slash", "per.iod", "Zürich"])
def test_any_name_can_be_read_back(cli: Cli, tmp_path: Path, name: str) -> None:
    addresses = put(tmp_path, "composer-url-mapping-prod.json", {name: {"url": "https://a.example.com"}})
    mapping = {**STOCK, "target": {"on_success": [{"environment_name": name, "dag_id": name}]}}
    result = cli("import", "composer", addresses, put(tmp_path, "stock.json", mapping), "--output", tmp_path / "new")
    assert "Traceback" not in result.stderr
    dependencies, configuration = written(tmp_path / "new")
    assert dependencies == {f"{name}/{name}": "stock"}
    assert name in configuration["environments"]


def test_settings_that_would_be_refused_are_told(cli: Cli, tmp_path: Path) -> None:
    addresses = put(tmp_path, "composer-url-mapping-prod.json", {"sales": {"url": "ftp://sales.example.com"}})
    result = cli("import", "composer", addresses, "--output", tmp_path / "new")
    assert result.exit_code == ExitCode.PROBLEM
    assert "coordinator.toml: environments.sales.url: 'ftp://sales.example.com' is not a URL" in result.stderr


def test_half_a_character_is_told(cli: Cli, tmp_path: Path) -> None:
    """JSON can escape half of a surrogate pair, which no file can contain."""
    file = put(tmp_path, "old.json", r'{"a\ud800": "b", "c": "d"}')
    result = cli("import", "playground", file, "--output", tmp_path / "new", "--json")
    assert result.exit_code == ExitCode.PROBLEM
    assert written(tmp_path / "new")[0] == {"c": "d"}


def test_files_that_are_there_are_not_replaced(cli: Cli, tmp_path: Path) -> None:
    file = put(tmp_path, "old.json", PLAYGROUND)
    put(tmp_path, "dependencies.json", "mine")
    result = cli("import", "playground", file, "--output", tmp_path)
    assert result.exit_code == ExitCode.USAGE
    assert "--force" in result.stderr
    assert (tmp_path / "dependencies.json").read_text() == "mine"
    assert cli("import", "playground", file, "--output", tmp_path, "--force").exit_code == ExitCode.OK
    assert written(tmp_path)[0]["02"] == "01"
