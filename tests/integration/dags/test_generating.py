"""``coordinator dags generate`` and ``check``: from templates to files, and what stays as it is."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.dags import generating
from coordinator.dags.configuration import read_configuration
from coordinator.dags.finding import Finding
from coordinator.dags.generating import Change, render, write
from coordinator.errors import ConfigurationError
from tests.command_line import Cli
from tests.command_line import cli as cli
from tests.dags_project import CONFIGURATION, TEMPLATE, contents, one_dag, project

ONE = one_dag()["configuration"]
DIGEST = "0123456789abcdef" * 2


def test_each_entry_is_a_file_in_each_of_its_environments(cli: Cli, tmp_path: Path) -> None:
    result = cli("dags", "generate", project(tmp_path))
    assert result.exit_code == ExitCode.OK, result.output
    made = contents(tmp_path / "dags")
    assert made.keys() == {"dev/orders.py", "prod/orders.py", "prod/customers.py"}
    assert b'DAG(dag_id="orders", schedule="@daily")' in made["dev/orders.py"]
    assert b'DAG(dag_id="customers", schedule=None)' in made["prod/customers.py"]


@pytest.mark.promise("dags")
def test_the_same_configuration_gives_the_same_bytes_wherever_it_is(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for at, seed in (("a", "1"), ("b/c", "2")):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        (tmp_path / at).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / at)  # nothing depends on the working directory
        assert cli("dags", "generate", os.path.relpath(project(tmp_path / at))).exit_code == ExitCode.OK
    assert contents(tmp_path / "a/dags") == contents(tmp_path / "b/c/dags")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*.py")}
    assert cli("dags", "generate", tmp_path / "a/dags.yaml").stdout == "3 unchanged\n"
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_windows_line_ends_in_a_template_are_plain_ones_in_the_output(cli: Cli, tmp_path: Path) -> None:
    project(tmp_path / "unix", **one_dag())
    project(tmp_path / "windows", CONFIGURATION.replace("\n", "\r\n"), dag="\ufeff" + TEMPLATE.replace("\n", "\r\n"))
    project(tmp_path / "unix")
    for one in ("unix", "windows"):
        assert cli("dags", "generate", tmp_path / one / "dags.yaml").exit_code == ExitCode.OK
    assert contents(tmp_path / "unix/dags") == contents(tmp_path / "windows/dags")


def test_check_writes_nothing_and_ends_with_1_and_a_diff(cli: Cli, tmp_path: Path) -> None:
    file = project(tmp_path)
    result = cli("dags", "generate", file, "--check")
    assert result.exit_code == ExitCode.PROBLEM
    assert not (tmp_path / "dags").exists()
    assert f"+++ {tmp_path}/dags/dev/orders.py" in result.stdout
    assert '+with DAG(dag_id="orders", schedule="@daily"):' in result.stdout
    assert result.stdout.endswith("3 to create; run 'coordinator dags generate'\n")

    cli("dags", "generate", file)
    assert cli("dags", "generate", file, "--check").exit_code == ExitCode.OK

    project(tmp_path, CONFIGURATION.replace("@daily", "@hourly").replace("  customers", "  buyers"))
    result = cli("dags", "generate", file, "--check", "--json")
    assert result.exit_code == ExitCode.PROBLEM
    said = json.loads(result.stdout)
    assert {Path(one["path"]).name: one["action"] for one in said["changes"]} == {
        "orders.py": "update",
        "customers.py": "remove",
        "buyers.py": "create",
    }
    assert '-with DAG(dag_id="orders", schedule="@daily"):\n+with DAG(dag_id="orders", schedule="@hourly"):' in "".join(
        one["diff"] for one in said["changes"]
    )
    assert not said["written"]


@pytest.mark.promise("dags")
def test_an_orphan_is_removed_only_with_our_marker(cli: Cli, tmp_path: Path) -> None:
    file = project(tmp_path)
    cli("dags", "generate", file)
    prod = tmp_path / "dags/prod"
    (prod / "by_hand.py").write_text("# coordinator dags: generated, or so\nDAG('by_hand')\n")
    (prod / "notes.txt").write_text("mine")
    of_others = project(tmp_path / "others", ONE.replace("sales", "finance").replace("orders", "invoices"))
    cli("dags", "generate", of_others, "--output", tmp_path / "dags")
    project(tmp_path, ONE)
    assert cli("dags", "generate", file).exit_code == ExitCode.OK
    assert contents(tmp_path / "dags").keys() == {
        "prod/orders.py",
        "prod/invoices.py",
        "prod/by_hand.py",
        "prod/notes.txt",
    }
    assert not (tmp_path / "dags/dev").exists(), "of an environment that is gone"


def test_an_environment_that_was_not_asked_for_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    file = project(tmp_path)
    cli("dags", "generate", file)
    project(tmp_path, CONFIGURATION.replace("@daily", "@hourly"))
    assert cli("dags", "generate", file, "--environment", "dev").exit_code == ExitCode.OK
    made = contents(tmp_path / "dags")
    assert b"@hourly" in made["dev/orders.py"]
    assert b"@daily" in made["prod/orders.py"]
    result = cli("dags", "generate", file, "--environment", "tst")
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr == (
        f"coordinator: --environment tst: {file} has no such environment; there are dev, prod; correct the name\n"
    )


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("x = 1\n", "the file was not generated, and is not overwritten; move or rename it"),
        (
            f"# coordinator dags: generated, name=other entry=orders environment=prod sha256={DIGEST}\n",
            "the file is of the configuration other, and is not overwritten; move or rename it",
        ),
        (
            f"# coordinator dags: generated, name=sales entry=orders environment=prod sha256={DIGEST}\nx\n",
            "entry orders: the file was changed since it was generated, and is not overwritten; bring the change",
        ),
    ],
)
def test_a_file_that_is_not_as_we_generated_it_is_not_overwritten(
    cli: Cli, tmp_path: Path, there: str, said: str
) -> None:
    place = tmp_path / "dags/prod/orders.py"
    place.parent.mkdir(parents=True)
    place.write_text(there)
    result = cli("dags", "generate", project(tmp_path))
    assert result.exit_code == ExitCode.PROBLEM
    assert f"{place}: {said}" in result.stdout
    assert contents(tmp_path / "dags") == {"prod/orders.py": there.encode()}, "nothing else is written either"


@pytest.mark.promise("dags")
def test_an_orphan_that_was_changed_by_hand_stays(cli: Cli, tmp_path: Path) -> None:
    file = project(tmp_path)
    cli("dags", "generate", file)
    orphan = tmp_path / "dags/prod/customers.py"
    orphan.write_text(orphan.read_text() + "# hours of work\n")
    project(tmp_path, ONE)
    result = cli("dags", "generate", file)
    assert result.exit_code == ExitCode.PROBLEM
    assert "is not removed, though no entry makes it any more; bring the change into the template" in result.stdout
    assert orphan.exists()


def test_another_form_of_line_ends_is_no_change_by_hand(cli: Cli, tmp_path: Path) -> None:
    """As git makes it on Windows."""
    file = project(tmp_path, **one_dag())
    cli("dags", "generate", file)
    made = tmp_path / "dags/prod/orders.py"
    before = made.read_bytes()
    made.write_bytes(before.replace(b"\n", b"\r\n"))
    assert cli("dags", "generate", file).exit_code == ExitCode.OK
    assert made.read_bytes() == before


@pytest.mark.promise("dags")
def test_a_link_in_the_way_is_not_followed(cli: Cli, tmp_path: Path) -> None:
    elsewhere = tmp_path / "precious"
    elsewhere.write_text("mine")
    (tmp_path / "dags/prod").mkdir(parents=True)
    (tmp_path / "dags/prod/orders.py").symlink_to(elsewhere)
    result = cli("dags", "generate", project(tmp_path, **one_dag()))
    assert "expected a file to write, found a link or a directory; move it away" in result.stdout
    assert elsewhere.read_text() == "mine"


@pytest.mark.promise("dags")
def test_a_link_in_place_of_an_environments_directory_is_not_followed(cli: Cli, tmp_path: Path) -> None:
    """Neither to write files, nor to remove those that another run has left there."""
    elsewhere = project(tmp_path / "elsewhere")
    cli("dags", "generate", elsewhere)
    before = contents(tmp_path / "elsewhere/dags/prod")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/prod").symlink_to(tmp_path / "elsewhere/dags/prod")
    file = project(tmp_path)
    result = cli("dags", "generate", file)
    assert result.exit_code == ExitCode.PROBLEM
    assert f"{tmp_path}/dags/prod: expected a directory to write to, found a link; name the place" in result.stdout
    assert "1 problem in" in result.stdout
    assert os.listdir(tmp_path / "dags") == ["prod"], "nothing else is written either"
    project(tmp_path, CONFIGURATION.replace("dev: , prod: ", "dev: ").replace("[prod]", "[dev]"))
    assert cli("dags", "generate", file).exit_code == ExitCode.OK
    assert contents(tmp_path / "elsewhere/dags/prod") == before


def test_a_link_in_place_of_a_file_that_is_half_written_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    known = uuid4()
    monkeypatch.setattr("coordinator.dags.generating.writing.uuid4", lambda: known)
    (tmp_path / f".coordinator-dags-{known.hex}").symlink_to(precious)
    with pytest.raises(ConfigurationError, match="cannot be written: File exists"):
        write([Change(tmp_path / "orders.py", None, b"x")])
    assert precious.read_text() == "mine"
    assert not (tmp_path / "orders.py").exists()


def test_the_folders_without_dags_are_written_into_airflowignore(cli: Cli, tmp_path: Path) -> None:
    file = project(tmp_path, CONFIGURATION + "non_dag_folders: [sql, include/common]\n")
    cli("dags", "generate", file)
    assert contents(tmp_path / "dags")["dev/.airflowignore"].splitlines()[1:] == [b"/include/common/", b"/sql/"]
    project(tmp_path, CONFIGURATION + "non_dag_folders: [s.ql]\nignore_syntax: regexp\n")
    cli("dags", "generate", file)
    assert contents(tmp_path / "dags")["dev/.airflowignore"].splitlines()[1:] == [rb"^s\.ql/"]
    project(tmp_path)
    cli("dags", "generate", file)
    assert "dev/.airflowignore" not in contents(tmp_path / "dags")
    (tmp_path / "dags/dev/.airflowignore").write_text("mine\n")
    project(tmp_path, CONFIGURATION + "non_dag_folders: [sql]\n")
    assert cli("dags", "generate", file).exit_code == ExitCode.PROBLEM
    assert (tmp_path / "dags/dev/.airflowignore").read_text() == "mine\n"


def test_a_dag_of_another_file_may_not_have_the_dag_id_of_an_entry(cli: Cli, tmp_path: Path) -> None:
    prod = tmp_path / "dags/prod"
    (prod / "sql").mkdir(parents=True)
    (prod / "by_hand.py").write_text("\n@dag(schedule=None)\ndef orders(): ...\n")
    (prod / "sql/also.py").write_text("DAG('orders')\n")
    (prod / "broken.py").write_text("DAG('orders'\n")
    configuration = ONE + "non_dag_folders: [sql]\n"
    result = cli("dags", "generate", project(tmp_path, configuration))
    assert result.exit_code == ExitCode.PROBLEM
    first, *others = result.stdout.splitlines()
    assert first.startswith(f"{prod}/by_hand.py:2: entry orders in prod: this file makes the DAG orders too")
    assert others == [f"1 problem in {tmp_path}/dags.yaml"]


WRONG_TEMPLATES = {
    "a_name": ("DAG(\n  {{ dag_id | literal }},\n  {{ shedule }})\n", 3, "'shedule' is undefined"),
    "a_condition": ("{% if x %}{% endif %}", 1, "'x' is undefined"),
    "an_attribute": ("\n{{ schedule.x.y }}", 2, "'None' has no attribute 'x'"),
    "syntax": ("\n{% for x in %}", 2, "Expected an expression, got 'end of statement block'"),
    "no_end": ("{% if schedule %}", 1, "Unexpected end of template"),
    "arithmetic": ("{{ 1 / 0 }}", 1, "ZeroDivisionError: division by zero"),
    "a_template": ("{% include 'x' %}", 1, "no template x in "),
    "outside": ("{% include '../dags.yaml' %}", 1, "no template ../dags.yaml in "),
    "itself": ("{% include 'itself.py.j2' %}", 1, "RecursionError: the template takes too much memory, or calls"),
    "inwards": ("{{ ''.__class__ }}", 1, "SecurityError: access to attribute '__class__' of 'str' object is unsafe"),
    "power": ("{{ 10 ** 100000 }}", 1, "SecurityError: expected an exponent of at most 1000"),
    "a_function": ("{{ range }}", 1, "TemplateRuntimeError: expected a value of the configuration, found a f"),
    "a_generator": (
        "{{ [1] | map('abs') }}",
        1,
        "TemplateRuntimeError: expected a value of the configuration, found a",
    ),
    "an_address": (
        "{{ 'x' ~ [1] | map('abs') }}",
        0,
        "expected a text, found an object: <generator object sync_do_map>",
    ),
    "by_chance": ("{{ [1, 2] | random }}", 1, "No filter named 'random'"),
    "memory": (
        "{% set a = namespace(x='x') %}\n{% for i in range(99) %}{% set a.x = a.x ~ a.x %}{% endfor %}",
        2,
        "MemoryError: the template takes too much memory, or calls itself without end",
    ),
    "length": (
        "{% for i in range(99999) %}{% for j in range(99999) %}0123456789{% endfor %}{% endfor %}",
        0,
        "the output has more than 1,000,000 characters",
    ),
}
WRONG_OUTPUTS = {
    "open": ("x = (\n", 1, "'(' was never closed, found: x = ("),
    "escape": ("# orders\nx = '\\d'\n", 2, "invalid escape sequence '\\d', found: x = '\\d'"),
    "operator": ("x = {{ schedule }} +\n", 1, "invalid syntax, found: x = None +"),
    "null": ("x = 1\x00\n", 0, "source code string cannot contain null bytes, found: "),
    "none": ("x = 1\n", 0, "no DAG none is made"),
    "another": ("DAG('other')\n", 1, "makes the DAG other; expected another"),
    "computed": ("\nDAG(f'{x}')\n", 2, "the dag_id is computed; expected 'computed' as a literal"),
    "twice": ("DAG('twice')\nDAG('twice')\n", 2, "makes the DAG twice twice"),
    "decorated": ("@dag\ndef other(): ...\n", 1, "makes the DAG other; expected decorated"),
}
WRONG: dict[str, tuple[str, int, str]] = WRONG_TEMPLATES | {
    name: (f"{text}# {{{{ schedule }}}}\n", line, said) for name, (text, line, said) in WRONG_OUTPUTS.items()
}


def entries(names: Iterable[str]) -> str:
    """A configuration in which each of these has a template of its own."""
    dags = "".join(f"  {name}: {{template: {name}.py.j2, values: {{schedule: null}}}}\n" for name in names)
    return f"name: sales\nenvironments: {{prod: }}\ndags:\n{dags}"


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """What is said of all these at once."""
    file = project(
        tmp_path_factory.mktemp("wrong"), entries(WRONG), **{name: text for name, (text, *_) in WRONG.items()}
    )
    rendered = render(file, read_configuration(file), ["prod"])
    assert rendered.contents == {}
    return rendered.findings


@pytest.mark.parametrize("name", WRONG_TEMPLATES)
def test_a_mistake_of_a_template_is_said_with_file_line_and_entry(wrong: list[Finding], name: str) -> None:
    (finding,) = [one for one in wrong if one.entry == name]
    _, line, reason = WRONG_TEMPLATES[name]
    assert Path(finding.file).parts[-2:] == ("templates", f"{name}.py.j2")
    assert not finding.reason.endswith(".")
    assert (finding.line, finding.environment, finding.rule) == (line, "prod", "template")
    assert finding.reason.startswith(reason)
    assert finding.remedy


@pytest.mark.parametrize("name", WRONG_OUTPUTS)
def test_an_output_has_to_compile_and_to_make_the_dag_of_its_entry(wrong: list[Finding], name: str) -> None:
    (finding,) = [one for one in wrong if one.entry == name]
    _, line, reason = WRONG_OUTPUTS[name]
    assert finding.file == f"prod/{name}.py as {name}.py.j2 makes it"
    assert (finding.line, finding.environment) == (line, "prod")
    assert finding.reason.startswith(reason)
    assert finding.remedy


@pytest.mark.promise("dags")
def test_where_anything_is_wrong_nothing_is_written(cli: Cli, tmp_path: Path) -> None:
    good_and_bad = entries(["dag", "typo"])
    file = project(tmp_path, good_and_bad, typo="DAG(\n  {{ dag_id | literal }},\n  {{ shedule }})\n")
    for command in ("check", "generate"):
        result = cli("dags", command, file)
        assert result.exit_code == ExitCode.PROBLEM
        assert result.stdout == (
            f"{tmp_path}/templates/typo.py.j2:3: entry typo in prod: 'shedule' is undefined; did you mean schedule, "
            f"of {file}:5? else add it to 'values' of the entry, the environment or the file, or write default(...)\n"
            f"1 problem in {file}\n"
        )
    assert not (tmp_path / "dags").exists()


def test_a_mistake_in_a_template_that_is_included_is_said_there(cli: Cli, tmp_path: Path) -> None:
    file = project(tmp_path, **one_dag("\n{% include 'part.py.j2' %}"), part="\n\n{{ x }}")
    said = json.loads(cli("dags", "check", file, "--json").stdout)
    assert [(one["file"], one["line"], one["entry"], one["environment"]) for one in said["findings"]] == [
        (f"{tmp_path}/templates/part.py.j2", 3, "orders", "prod")
    ]


def test_each_way_to_make_a_dag_is_known(cli: Cli, tmp_path: Path) -> None:
    ways = {
        "a_class": "import airflow.sdk\nairflow.sdk.DAG(dag_id='a_class')\n",
        "named": "@dag(dag_id='named')\ndef other(): ...\n",
        "decorated": "@dag()\ndef decorated(): ...\n",
        "ours": "from ours import make_dag\nmake_dag({{ dag_id | literal }})\n",
    }
    templates = {name: text + "# {{ schedule }}\n" for name, text in ways.items()}
    result = cli("dags", "check", project(tmp_path, entries(ways), **templates))
    assert result.exit_code == ExitCode.OK, result.stdout
    assert "good: 4 DAGs, 4 DAG files" in result.stdout


def test_a_value_that_no_template_uses_is_a_mistake(cli: Cli, tmp_path: Path) -> None:
    file = project(tmp_path, **one_dag(values="{schedule: null, ownr: me}"))
    assert f"{file}:4: entry orders in prod: no template uses the value ownr; correct its name" in (
        cli("dags", "check", file).stdout
    )


def test_a_value_that_an_included_template_uses_is_used(cli: Cli, tmp_path: Path) -> None:
    file = project(
        tmp_path, **one_dag(TEMPLATE + "{% include 'part.py.j2' %}", "{schedule: null, more: me}"), part="# {{ more }}"
    )
    assert cli("dags", "check", file).exit_code == ExitCode.OK


def test_a_value_is_written_as_python(cli: Cli, tmp_path: Path) -> None:
    written = {
        "null": "None",
        "true": "True",
        "[1, 'a', null]": '[1, "a", None]',
        "{a: {b: 1.5}}": '{"a": {"b": 1.5}}',
        "'it''s \"so\"'": '"it\'s \\"so\\""',
        '"é\\n\\u202e\\\\"': "'é\\n\\u202e\\\\'",
    }
    values = "[" + ", ".join(written) + "]"
    cli("dags", "generate", project(tmp_path, **one_dag(values=f"{{schedule: {values}}}")))
    assert f"schedule=[{', '.join(written.values())}])" in (tmp_path / "dags/prod/orders.py").read_text()


def test_a_template_without_an_end_is_ended_and_the_others_go_on(tmp_path: Path) -> None:
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}\n"
    text = ONE + "  slow: {template: slow.py.j2}\n  stuck: {template: stuck.py.j2}\n"
    # What a signal cannot interrupt: one call of a function of C.
    stuck = "{{ (range(99999) | list).__len__() }}{{ 'x' * 50000 * 1000 * 10 ~ dag_id }}"
    file = project(tmp_path, text, slow=f"\n{endless}", stuck=stuck)
    rendered = render(file, read_configuration(file), ["prod"], time_limit=0.5)
    assert list(rendered.contents) == [("prod", "orders.py")]
    slow, stuck_one = rendered.findings
    assert (slow.file, slow.line, slow.entry) == (str(tmp_path / "templates/slow.py.j2"), 2, "slow")
    assert slow.reason == "it is not done after 0.5 s"
    assert (stuck_one.file, stuck_one.entry) == (str(tmp_path / "templates/stuck.py.j2"), "stuck")


def test_a_template_that_may_be_missing_is_missed_by_nobody(tmp_path: Path) -> None:
    file = project(tmp_path, **one_dag("{% include 'none.j2' ignore missing %}\n" + TEMPLATE))
    assert render(file, read_configuration(file), ["prod"]).findings == []


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_directory_that_cannot_be_written_to_is_said(request: pytest.FixtureRequest) -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o555)
        request.getfixturevalue("nobody")
        with pytest.raises(ConfigurationError, match=r"orders.py: cannot be written: Permission denied; make the dir"):
            write([Change(Path(directory) / "orders.py", None, b"x")])
        assert os.listdir(directory) == []
        if os.getuid() == 0:
            os.seteuid(0)


def test_an_output_that_is_no_directory_is_said(cli: Cli, tmp_path: Path) -> None:
    file = project(tmp_path)
    (tmp_path / "dags").write_text("mine")
    result = cli("dags", "generate", file)
    assert result.exit_code == ExitCode.USAGE
    assert f"{tmp_path}/dags: cannot be read: Not a directory; expected a directory of DAG files" in result.stderr


def test_two_who_generate_the_same_at_once_both_succeed(tmp_path: Path) -> None:
    written, gone = tmp_path / "dags/orders.py", tmp_path / "dags/gone.py"
    written.parent.mkdir()
    written.write_bytes(b"by the other")
    write([Change(written, b"before", b"by the other"), Change(gone, b"x", None)])
    assert contents(tmp_path) == {"dags/orders.py": b"by the other"}


@pytest.mark.promise("dags")
@pytest.mark.parametrize("path", ["prod/orders.py", "prod/customers.py", "prod/returns.py"])
def test_what_is_changed_by_hand_after_the_comparison_stays(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Of a file that is to be updated, removed or created. Other files of the directory are parsed meanwhile."""
    file = project(tmp_path)
    cli("dags", "generate", file)
    project(tmp_path, ONE.replace("null", "1") + "  returns: {template: dag.py.j2, values: {schedule: null}}\n")
    other = generating.same_dag_elsewhere

    def meanwhile(*arguments: Any) -> Iterator[Finding]:
        with (tmp_path / "dags" / path).open("a") as opened:
            opened.write("# hours of work\n")
        return other(*arguments)

    monkeypatch.setattr(generating, "same_dag_elsewhere", meanwhile)
    result = cli("dags", "generate", file)
    assert result.exit_code == ExitCode.USAGE
    assert f"{tmp_path}/dags/{path}: changed while it was generated; it is left as it is" in result.stderr
    assert contents(tmp_path / "dags")[path].endswith(b"# hours of work\n")


def test_a_link_that_appears_after_the_comparison_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/orders.py").write_text("before")
    (tmp_path / "prod").symlink_to("elsewhere")
    with pytest.raises(ConfigurationError, match="changed while it was generated"):
        write([Change(tmp_path / "prod/orders.py", b"before", b"after")])
    assert (tmp_path / "elsewhere/orders.py").read_text() == "before"


def test_a_package_of_the_extra_that_is_missing_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "jinja2" else find(name))
    result = cli("dags", "check")
    assert result.exit_code == ExitCode.USAGE
    assert "jinja2: not installed, which 'coordinator dags' needs; install the extra 'dags'" in result.stderr


def test_the_schema_can_be_printed(cli: Cli) -> None:
    assert json.loads(cli("dags", "check", "--schema").stdout)["$id"] == "urn:etcd-coordinator:dags:1"


MANY_MISTAKES = """\
ouput: generated
name: sales
values: {schedule: "@daily"}
environments: {dev: , prod: }
dags:
  wrong_name: {template: reprot.py.j2}
  wrong_environment:
    template: broken.py.j2
    per_environment: {prd: {schedule: null}}
  wrong_field: {template: alike.py.j2, vales: {table: x}}
  good: {template: report.py.j2}
"""


def test_every_mistake_is_said_in_one_round_and_as_json_on_stdout(cli: Cli, tmp_path: Path) -> None:
    """Those of the configuration, and those of its templates."""
    file = project(tmp_path, MANY_MISTAKES, report=TEMPLATE, broken="{% for x in [] %}", alike="{{ 1 | litteral }}")
    for command in (("check",), ("generate",), ("generate", "--check")):
        result = cli("dags", *command, file, "--json")
        assert result.exit_code == ExitCode.USAGE
        assert result.stderr == ""
        said = json.loads(result.stdout)
        assert not said["ok"]
        found = {(Path(one["file"]).name, one["line"], one["entry"], one["rule"]) for one in said["findings"]}
        assert found == {
            ("dags.yaml", 1, "", "configuration"),
            ("dags.yaml", 6, "wrong_name", "template"),
            ("dags.yaml", 9, "wrong_environment", "configuration"),
            ("broken.py.j2", 1, "wrong_environment", "template"),
            ("dags.yaml", 10, "wrong_field", "configuration"),
            ("alike.py.j2", 1, "wrong_field", "template"),
        }
        result = cli("dags", *command, file)
        assert result.exit_code == ExitCode.USAGE
        assert result.stdout.splitlines()[-1] == f"6 problems in {file}"
        assert "did you mean literal? correct the template" in result.stdout
        assert "did you mean report.py.j2? there are " in result.stdout
    assert not (tmp_path / "dags").exists()


@pytest.mark.parametrize("text", ["", "name: [", "[]", "name: x\nenvironments: {dev: 1}\ndags: {}\n"])
def test_a_configuration_of_which_nothing_is_sound_is_said_as_json(cli: Cli, tmp_path: Path, text: str) -> None:
    result = cli("dags", "check", project(tmp_path, text), "--json")
    assert result.exit_code == ExitCode.USAGE
    assert [one["rule"] for one in json.loads(result.stdout)["findings"]] == ["configuration"]


def test_values_that_are_not_read_are_not_missed_in_a_template(cli: Cli, tmp_path: Path) -> None:
    """A mistake is no two: of a misspelt 'values' nothing is said but that."""
    file = project(tmp_path, "vales: {schedule: null}\n" + CONFIGURATION.replace("values: {schedule", "# {", 1))
    result = cli("dags", "check", file, "--json")
    assert [one["line"] for one in json.loads(result.stdout)["findings"]] == [1]


def alike(number: int, *, template: str, values: str) -> str:
    dags = "".join(f"  d{at}: {{template: {template}.py.j2, values: {values}}}\n" for at in range(number))
    return f"name: sales\nenvironments: {{dev: , prod: }}\ndags:\n{dags}"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% for x in [1] %}", "Unexpected end of template"),
        ("{{ shedule }}", "'shedule' is undefined"),
        ("{{ 1 | litteral }}", "No filter named 'litteral'"),
    ],
)
def test_one_mistake_of_a_template_is_said_once(cli: Cli, tmp_path: Path, template: str, reason: str) -> None:
    file = project(tmp_path, alike(50, template="wrong", values="{schedule: null}"), wrong=template)
    result = cli("dags", "check", file)
    said, last = result.stdout.splitlines()
    place = f"{tmp_path}/templates/wrong.py.j2:1"
    assert said.startswith(f"{place}: 50 entries in 2 environments, such as d0 in dev: {reason}")
    assert last == f"1 problem in {file}"
    (found,) = json.loads(cli("dags", "check", file, "--json").stdout)["findings"]
    assert (found["entry"], found["environment"], found["entries"], found["environments"]) == ("d0", "dev", 50, 2)


def test_a_value_that_one_entry_lacks_is_said_at_its_line_of_the_configuration(cli: Cli, tmp_path: Path) -> None:
    text = alike(3, template="load", values="{table: x}") + "  typo: {template: load.py.j2, values:\n    {tabel: x}}\n"
    text += "  none: {template: load.py.j2}\n"
    file = project(tmp_path, text, load="DAG({{ dag_id | literal }})\n# {{ table }}\n")
    needs = f"{tmp_path}/templates/load.py.j2:2 needs the value table, which the entry does not have"
    assert cli("dags", "check", file).stdout.splitlines() == [
        f"{file}:8: entry typo in 2 environments: {needs}; did you mean it by tabel, which no template uses? else add "
        "it to 'values' of the entry, the environment or the file, or write default(...)",
        f"{file}:9: entry none in 2 environments: {needs}; add it to 'values' of the entry, the environment or the "
        "file, or write default(...)",
        f"2 problems in {file}",
    ]


def test_an_unused_value_of_one_environment_is_said_at_its_line(cli: Cli, tmp_path: Path) -> None:
    text = "name: x\nenvironments: {dev: , prod: }\ndags:\n  orders:\n    template: dag.py.j2\n"
    text += "    values: {schedule: null}\n    per_environment:\n      prod:\n        ownr: me\n"
    file = project(tmp_path, text)
    assert cli("dags", "check", file).stdout.startswith(
        f"{file}:9: entry orders in prod: no template uses the value ownr; correct"
    )


def test_a_value_that_one_environment_lacks_is_said_at_its_line_once(cli: Cli, tmp_path: Path) -> None:
    text = "name: x\nenvironments:\n  dev: {values: {schedule: null}}\n  prod:\ndags:\n"
    text += "  a: {template: dag.py.j2}\n  b: {template: dag.py.j2}\n"
    file = project(tmp_path, text)
    said, last = cli("dags", "check", file).stdout.splitlines()
    assert said.startswith(
        f"{file}:4: 2 entries in 1 environment, such as a in prod: {tmp_path}/templates/dag.py.j2:3 needs the value "
        "schedule, which the environment prod does not give; add it to "
    )
    assert last == f"1 problem in {file}"


def test_a_value_that_an_entry_lacks_in_one_environment_is_said_at_the_entry(cli: Cli, tmp_path: Path) -> None:
    text = "name: x\nenvironments: {dev: , prod: }\ndags:\n"
    text += "  a: {template: dag.py.j2, per_environment: {dev: {schedule: null}}}\n"
    file = project(tmp_path, text)
    said = cli("dags", "check", file).stdout
    assert said.startswith(f"{file}:4: entry a in prod: {tmp_path}/templates/dag.py.j2:3 needs the value schedule, wh")


def test_another_template_that_is_wrong_hides_nothing(tmp_path: Path) -> None:
    """It is not rendered, and read only to find the values that no template uses."""
    other = "{% if false %}{% include 'other.py.j2' %}{% endif %}"
    for dag, line in (
        (TEMPLATE + "# {{ tabel }}\n" + other, "'tabel' is undefined"),
        (TEMPLATE + other, "unknown tag"),
    ):
        file = project(tmp_path, **one_dag(dag), other="\n{% nothing %}\n")
        (finding,) = render(file, read_configuration(file), ["prod"]).findings
        assert line in finding.reason
        assert finding.line == (2 if "unknown" in line else TEMPLATE.count("\n") + 1)
