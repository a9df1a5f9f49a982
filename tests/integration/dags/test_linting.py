"""``coordinator dags lint``: what DAG files do at import, with file and line, by a real Airflow's Python."""

from __future__ import annotations

import json
import socket
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.cli.failures import ExitCode
from coordinator.dags.finding import Finding
from coordinator.dags.ignored import IgnoreSyntax
from coordinator.dags.linting import Linted, lint
from coordinator.dags.linting.airflow_rules import SINCE, airflow_rules
from coordinator.errors import ConfigurationError
from tests.command_line import Cli
from tests.command_line import cli as cli
from tests.e2e.airflow2 import PYTHON as AIRFLOW2
from tests.e2e.required import required

HEAD = "from airflow.sdk import DAG\n\ndag = DAG(dag_id='NAME', schedule=None)\n"
"""Three lines of a good DAG file."""


pytestmark = pytest.mark.slow

FILES = {
    "good": HEAD,
    "prints": HEAD + "print('{}')\nimport sys; sys.stderr.write('x')\n",
    "by_decorator": "from airflow.sdk import dag\n\n@dag(schedule=None)\ndef by_decorator(): ...\n\nby_decorator()\n",
    "network": HEAD + "import socket\n\nsocket.create_connection(('127.0.0.1', PORT))\n",
    "swallowed": HEAD + "import socket\ntry:\n    socket.create_connection(('127.0.0.1', PORT))\n"
                 "except Exception: pass\n",
    "by_requests": HEAD + "import requests\nrequests.get('http://127.0.0.1:PORT/')\n",
    "driver": HEAD + "import psycopg2\npsycopg2.connect('host=127.0.0.1 port=PORT connect_timeout=5')\n",
    "thread": HEAD + "import socket, threading\ndef go():\n    socket.create_connection(('127.0.0.1', PORT))\n"
              "threading.excepthook = lambda *_: None\nthread = threading.Thread(target=go)\n"
              "thread.start()\nthread.join()\n",
    "resolves": HEAD + "import socket\nsocket.gethostbyname('example.com')\n",
    "variable": HEAD + "from airflow.sdk import Variable\nVariable.get('bucket', default='x')\n",
    "not_reached": HEAD + "from airflow.sdk import Variable\n1 / 0\nVariable.get('bucket', default='x')\n",
    "old_variable": HEAD + "from airflow.models import Variable\nVariable.get('bucket', default_var='x')\n",
    "sets_variable": HEAD + "from airflow.sdk import Variable\nVariable.set('token', 'secret')\n",
    "connection": HEAD + "from airflow.sdk import BaseHook\nBaseHook.get_connection('warehouse')\n",
    "metadata": HEAD + "from airflow.models import DagRun\nfrom airflow.settings import Session\n"
                "Session().query(DagRun).all()\n",
    "sqlite": HEAD + "import sqlite3\nsqlite3.connect('own.db')\n",
    "process": HEAD + "import subprocess\nsubprocess.run(['env', '--', 'true'], env={'TOKEN': 'secret'})\n",
    "system": HEAD + "import os\nos.system('true')\n",
    "forks": HEAD + "import os\nos.fork()\n",
    "by_c": HEAD + "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            "if libc.execv(b'/bin/true', None) == -1: raise OSError(ctypes.get_errno())\n",
    "forks_by_c": HEAD + "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
                  "if libc.fork() == -1: raise OSError(ctypes.get_errno())\n",
    "spawns": HEAD + "import multiprocessing\n"
              "multiprocessing.get_context('spawn').Process(target=print).start()\n",
    "closes": HEAD + "import os\nos.closerange(3, 1000)\n",
    "among": HEAD + "import os, stat\nfor at in range(3, 50):\n    try: is_pipe = stat.S_ISFIFO(os.fstat(at).st_mode)\n"
             "    except OSError: continue\n    if is_pipe: os.write(at, b'{\"dag_ids\": [1]}\\n')\n",
    "writes": HEAD + "open('WRITTEN', 'w').write('x')\n",
    "removes": HEAD + "import os\nos.remove('REMOVED')\n",
    "renames": HEAD + "import os\nopen('x', 'w').write('x')\nos.replace('x', 'REMOVED')\n",
    "links": HEAD + "import os\nos.link('REMOVED', 'y')\n",
    "by_descriptor": HEAD + "import os\nopened = os.open(os.path.dirname('REMOVED'), os.O_RDONLY)\n"
                     "os.unlink('file', dir_fd=opened)\n",
    "at_home": HEAD + "import os, pathlib, shutil\nos.makedirs('a/b')\npathlib.Path('a/b/c').write_text('x')\n"
               "os.rename('a/b/c', 'a/d')\nshutil.rmtree('a')\n",
    "copy": HEAD,
    "relative": HEAD + "open('orders.csv')\n",
    "endless": HEAD + "import time\nwhile True:\n    time.sleep(0.01)\n",
    "in_c": HEAD + "sum(range(10**12))\n",
    "exits": HEAD + "import os\nos._exit(0)\n",
    "dies": HEAD + "import os, signal\nsignal.raise_signal(signal.SIGKILL)\n",
    "leaves": HEAD + "import sys\nsys.exit('no')\n",
    "raises": HEAD + "\n1 / 0\n",
    "at_length": HEAD + "raise RuntimeError('x' * 20_000_000)\n",
    "module": HEAD + "import helper\n\nhelper.go()\n",
    "also_module": HEAD + "import helper\nhelper.go()\n",
    "none": HEAD + "import not_installed\n",
    "broken": HEAD + "x = (\n",
    "same_a": HEAD.replace("NAME", "same"),
    "same_b": HEAD.replace("NAME", "same"),
    "old_import": "from airflow.operators.bash import BashOperator\n" + HEAD
                  + "task = BashOperator(task_id='task', bash_command='true', dag=dag)\n",
    "no_schedule": "from airflow.sdk import DAG\n\nDAG('no_schedule')\n",
    "allowed": "from airflow.sdk import DAG\n\nDAG('allowed')  # noqa: AIR002\n",
    "huge": HEAD + "#" * 5_000_000,
    "no_dag": "import socket\nsocket.create_connection(('127.0.0.1', 1))\n",
}  # fmt: skip
HELPER = "import socket\n\ndef go():\n    socket.create_connection(('127.0.0.1', PORT))\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DAG folder with all these files, in which a folder is to be left out; it is reached by a link."""
    real = tmp_path_factory.mktemp("dags")
    (real / "sql").mkdir()
    (real / ".airflowignore").write_text("/sql/\n")
    (real / "sql/a.py").write_text("this is no Python, airflow dag")
    (real / "helper.py").write_text(HELPER)
    for name, text in FILES.items():
        (real / f"{name}.py").write_text(text.replace("NAME", name))
    link = tmp_path_factory.mktemp("link") / "dags"
    link.symlink_to(real)
    return link


@pytest.fixture(scope="module")
def precious(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("precious") / "file"
    place.write_text("mine")
    return place


@pytest.fixture(scope="module")
def port() -> Iterator[tuple[int, list[object]]]:
    """A server, and who has connected to it."""
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                seen.append(address)
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture(scope="module")
def linted(folder: Path, port: tuple[int, list[object]], precious: Path) -> Linted:
    """All of them at once: Airflow is loaded once."""
    for file in folder.glob("*.py"):
        text = file.read_text().replace("PORT", str(port[0]))
        file.write_text(text.replace("WRITTEN", str(precious.with_name("new"))).replace("REMOVED", str(precious)))
    return lint(folder, python=Path(sys.executable), syntax=IgnoreSyntax.GLOB, time_limit=3)


def of(linted: Linted, folder: Path, name: str) -> list[Finding]:
    return [one for one in linted.findings if one.file == str(folder / f"{name}.py")]


@pytest.mark.parametrize("name", ["good", "prints", "by_decorator", "allowed", "no_dag", "at_home", "copy"])
def test_a_file_that_does_nothing_at_import_is_good(linted: Linted, folder: Path, name: str) -> None:
    assert of(linted, folder, name) == []


DONE = {
    "network": (6, "network", "at import it uses socket.getaddrinfo('127.0.0.1', "),
    "swallowed": (6, "network", "at import it uses socket.getaddrinfo('127.0.0.1', "),
    "by_requests": (5, "network", "at import it uses socket.getaddrinfo('127.0.0.1', "),
    "thread": (6, "network", "at import it uses socket.getaddrinfo('127.0.0.1', "),
    "resolves": (5, "network", "at import it uses socket.gethostbyname('example.com')"),
    "variable": (5, "variable", "at import it uses Variable.get('bucket')"),
    "old_variable": (5, "variable", "at import it uses Variable.get('bucket')"),
    "sets_variable": (5, "variable", "at import it uses Variable.set('token')"),
    "connection": (5, "connection", "at import it uses BaseHook.get_connection('warehouse')"),
    "metadata": (6, "database", "at import it uses Airflow's database"),
    "sqlite": (5, "database", "at import it uses sqlite3.connect('own.db')"),
    "process": (5, "process", "at import it uses subprocess.Popen(['env', '--', 'true'])"),
    "system": (5, "process", "at import it uses os.system(b'true')"),
    "forks": (5, "process", "at import it uses os.fork()"),
    "spawns": (5, "process", "at import it uses spawnv_passfds("),
    "writes": (4, "files", "at import it uses open('"),
    "renames": (6, "files", "at import it uses os.rename('x', '"),
    "links": (5, "files", "at import it uses os.link('"),
    "by_descriptor": (6, "files", "at import it uses os.remove('file', "),
    "removes": (5, "files", "at import it uses os.remove('"),
    "driver": (5, "import", "cannot be imported: OperationalError: connection to server at "),
    "by_c": (6, "import", "cannot be imported: "),
    "forks_by_c": (6, "import", "cannot be imported: OSError: 13"),
    "closes": (0, "import", "cannot be imported: the file ends the process that imports it: exit code 1"),
    "among": (0, "import", "cannot be imported: the file writes to descriptors that are not its own"),
    "relative": (4, "import", "cannot be imported: FileNotFoundError: "),
    "endless": (6, "time", "its import is not done after 3 s"),
    "in_c": (4, "time", "its import is not done after 3 s"),
    "exits": (0, "import", "cannot be imported: the file ends the process that imports it: exit code 0"),
    "dies": (0, "import", "cannot be imported: the file ends the process that imports it: signal 9"),
    "leaves": (5, "import", "cannot be imported: SystemExit: no"),
    "raises": (5, "import", "cannot be imported: ZeroDivisionError: division by zero"),
    "at_length": (4, "import", "cannot be imported: RuntimeError: xxx"),
    "none": (4, "import", "cannot be imported: ModuleNotFoundError: No module named 'not_installed'"),
    "huge": (0, "syntax", "more than 5,000,000 bytes"),
    "broken": (4, "syntax", "is not Python: '(' was never closed"),
    "same_b": (0, "dag-id", "makes the DAG same, as "),
    "no_schedule": (3, "AIR002", "`DAG` or `@dag` should have an explicit `schedule` argument"),
}


@pytest.mark.parametrize("name", DONE)
def test_what_a_file_does_at_import_is_said_with_its_line(linted: Linted, folder: Path, name: str) -> None:
    line, rule, reason = DONE[name]
    found = [one for one in of(linted, folder, name) if one.rule == rule]
    assert [one.line for one in found] == [line], of(linted, folder, name)
    assert found[0].reason.startswith(reason)
    assert found[0].remedy
    others = {one.rule for one in of(linted, folder, name)} - {rule}
    assert others <= {"AIR003", "AIR311", "AIR312", "AIR301"}, "ruff's, of the same line"


def test_nothing_of_it_has_happened(linted: Linted, port: tuple[int, list[object]], precious: Path) -> None:
    assert linted.findings
    assert port[1] == [], "nobody reached the server"
    assert precious.read_text() == "mine"
    assert not precious.with_name("new").exists()


def test_what_a_module_does_is_said_once_where_it_does_it(linted: Linted, folder: Path) -> None:
    (found,) = of(linted, folder, "helper")
    assert (found.line, found.rule) == (4, "network")
    assert f"(imported by {folder}/also_module.py)" in found.reason
    assert of(linted, folder, "module") == of(linted, folder, "also_module") == []


def test_the_environment_of_a_program_and_the_value_of_a_variable_are_not_shown(linted: Linted) -> None:
    """They may be what nobody may read."""
    assert not [one for one in linted.findings if "secret" in str(one)]


def test_ruffs_rules_for_airflow_are_among_the_checks(linted: Linted, folder: Path) -> None:
    assert linted.has_ruff
    assert "AIR003" in {one.rule for one in of(linted, folder, "not_reached")}
    assert {one.rule for one in of(linted, folder, "old_import")} >= {"AIR312"}


def test_one_mistake_is_one_problem(linted: Linted, folder: Path) -> None:
    """Which ruff, too, sees in the text."""
    assert [one.rule for one in of(linted, folder, "variable")] == ["variable"]


def test_what_airflowignore_names_is_not_looked_at(linted: Linted, folder: Path) -> None:
    assert linted.files == len(FILES) + 1  # and helper.py
    assert linted.imported == len(FILES) - 3  # broken.py, huge.py, no_dag.py
    assert of(linted, folder, "sql/a") == []


def test_a_file_is_linted_alone(cli: Cli, folder: Path, linted: Linted) -> None:
    assert linted.files
    result = cli("dags", "lint", folder / "good.py", folder / "raises.py", "--json")
    assert result.exit_code == ExitCode.PROBLEM
    said = json.loads(result.stdout)
    assert (said["files"], said["imported"], said["ruff"]) == (2, 2, True)
    assert [(Path(one["file"]).name, one["line"], one["rule"]) for one in said["findings"]] == [
        ("raises.py", 5, "import")
    ]
    result = cli("dags", "lint", folder / "good.py")
    assert result.exit_code == ExitCode.OK
    assert result.stdout == f"{folder}/good.py: good: 1 Python file, of which 1 DAG file imported\n"


def test_a_folder_that_is_named_from_here_is_as_one_that_is_named_from_the_top(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dags/lib").mkdir(parents=True)
    (tmp_path / "dags/lib/helper.py").write_text("def go():\n    import os\n    os.system('true')\n")
    (tmp_path / "dags/a.py").write_text(HEAD.replace("NAME", "a") + "from lib.helper import go\n\ngo()\n")
    for here, folder in ((tmp_path, "dags"), (tmp_path / "dags", ".")):
        monkeypatch.chdir(here)
        (found,) = json.loads(cli("dags", "lint", folder, "--json").stdout)["findings"]
        place = (Path(found["file"]), found["line"], found["rule"])
        assert place == (Path(folder) / "lib/helper.py", 3, "process")


def test_airflow_2_imports_its_dags_itself(tmp_path: Path) -> None:
    if not AIRFLOW2.exists():
        required("Airflow 2.11", "Python 3.11 or 3.12, and then: make airflow2")
    (tmp_path / "a.py").write_text(
        "from airflow import DAG\nfrom airflow.models import Variable\n\nwith DAG('a', schedule=None):\n"
        "    Variable.get('bucket', default_var='x')\n"
    )
    (tmp_path / "b.py").write_text("from airflow.hooks.base import BaseHook\n\nBaseHook.get_connection('x')  # dag\n")
    (tmp_path / "c.py").write_text("from airflow import DAG\n\nwith DAG('good', schedule=None):\n    pass\n")
    (tmp_path / "d.py").write_text("from airflow import DAG\n\nwith DAG('good', schedule=None):\n    pass\n")
    found = lint(tmp_path, python=AIRFLOW2, syntax=IgnoreSyntax.REGEXP, time_limit=30)
    said = {(Path(one.file).name, one.line, one.rule) for one in found.findings if not one.rule.startswith("AIR")}
    assert said == {("a.py", 5, "variable"), ("b.py", 3, "connection"), ("d.py", 0, "dag-id")}


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("none", "cannot be run: No such file or directory; expected the Python of Airflow"),
        ("false", "ended with 1 (); expected a Python of 3.10 or later that has Airflow"),
    ],
)
def test_a_python_that_is_none_is_said(cli: Cli, tmp_path: Path, python: str, said: str) -> None:
    (tmp_path / "a.py").write_text(HEAD.replace("NAME", "a"))
    (tmp_path / "false").write_text("#!/bin/sh\ncat > /dev/null\nexit 1\n")
    (tmp_path / "false").chmod(0o755)
    result = cli("dags", "lint", tmp_path, "--python", tmp_path / python)
    assert result.exit_code == ExitCode.USAGE
    assert said in result.stderr


def test_without_ruff_the_other_checks_are_made_and_it_is_said(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.py").write_text("from airflow.sdk import DAG\n\nDAG('a')\n1 / 0\n")
    monkeypatch.setattr("coordinator.dags.linting.checking.ruff_command", lambda: None)
    result = cli("dags", "lint", tmp_path)
    assert "ZeroDivisionError" in result.stdout
    assert "AIR002" not in result.stdout
    assert "ruff is not installed, so its rules for Airflow were not checked" in result.stderr


def test_a_ruff_that_does_not_know_the_rules_is_said(tmp_path: Path) -> None:
    old = tmp_path / "ruff"
    old.write_text("#!/bin/sh\necho 'Unknown rule selector: `AIR304`' >&2\nexit 2\n")
    old.chmod(0o755)
    with pytest.raises(
        ConfigurationError, match=f"selector: `AIR304`; correct its .*, or install ruff {SINCE} or later"
    ):
        airflow_rules([str(old)], [tmp_path / "a.py"])
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert f"ruff>={SINCE}" in project["optional-dependencies"]["dags"]


def test_a_folder_that_is_not_there_is_said(cli: Cli, tmp_path: Path) -> None:
    result = cli("dags", "lint", tmp_path / "none")
    assert result.exit_code == ExitCode.USAGE
    assert f"{tmp_path}/none: cannot be read: No such file or directory; expected DAG files" in result.stderr


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, "no Python file"),
        ({"a.txt": "dag airflow"}, "no Python file"),
        ({"a.py": "x = 1\n", "b.py": ""}, "2 Python files, and no DAG file among them"),
    ],
)
def test_a_folder_without_dag_files_is_a_problem(cli: Cli, tmp_path: Path, files: dict[str, str], found: str) -> None:
    """As where a path in CI is wrong."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    result = cli("dags", "lint", tmp_path)
    assert result.exit_code == ExitCode.PROBLEM
    assert result.stdout.startswith(f"{tmp_path}: expected DAG files, found {found}; name the folder that has them; ")
    assert f"{tmp_path}: 1 problem: " in result.stdout


def test_a_python_without_airflow_is_said_once(cli: Cli, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text(HEAD.replace("NAME", name))
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # without what is installed beside it
    bare.chmod(0o755)
    result = cli("dags", "lint", tmp_path, "--python", bare)
    assert result.exit_code == ExitCode.USAGE
    assert result.stderr.count("\n") == 1
    assert f"{bare}: has no Airflow, which {tmp_path}/a.py imports; expected with --python the Python" in result.stderr
