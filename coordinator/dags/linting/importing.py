"""Imports DAG files in processes in which a mistake does no harm, and says what they did."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from coordinator.dags.finding import Finding
from coordinator.dags.linting.import_child import DATABASE
from coordinator.errors import ConfigurationError

_CHILD: Final = Path(__file__).with_name("import_child.py")

_NO_AIRFLOW: Final = "ModuleNotFoundError: No module named 'airflow'"
_REMEDIES: Final = {
    "network": "do it in a task: Airflow imports the file again and again",
    "database": "do it in a task: Airflow imports the file again and again",
    "variable": 'read it in a task, or as a template: "{{ var.value.name }}"',
    "connection": 'read it in a task, or as a template: "{{ conn.name }}"',
    "process": "do it in a task, or when the file is generated",
    "files": "write files in a task",
}


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the files.

    :ivar findings: what they did, or why they cannot be imported.
    :ivar dag_ids: the DAGs that each makes, by its path.
    """

    findings: list[Finding] = field(default_factory=list)
    dag_ids: dict[Path, list[str]] = field(default_factory=dict)


def import_files(root: Path, files: Sequence[Path], *, python: Path, time_limit: float) -> Imported:
    """Import DAG files.

    :param root: the DAG folder, from which they may import modules.
    :param python: the Python that has Airflow and what the DAGs need.
    :param time_limit: seconds for each file.
    :raises ConfigurationError: this Python cannot be run, or has no Airflow.
    """
    imported = Imported()
    known: set[tuple[str, int, str]] = set()
    if not files:
        return imported
    with TemporaryDirectory(prefix="coordinator-dags-") as home:
        current = files[0]
        for answer in _answers(root, files, python, time_limit, home):
            if "file" in answer:
                current = Path(answer["file"])
            elif answer.get("error") == _NO_AIRFLOW:
                raise ConfigurationError(
                    f"{python}: has no Airflow, which {current} imports; expected with --python the Python that has "
                    "Airflow and what the DAGs need"
                )
            elif "dag_ids" in answer:
                imported.dag_ids[current] = answer["dag_ids"]
            elif (key := (*answer["place"], answer.get("what", ""))) not in known or not answer["place"][0]:
                known.add(key)  # a module that many files import is said once
                imported.findings.append(_finding(root, current, answer))
    return imported


def _finding(root: Path, file: Path, answer: dict[str, Any]) -> Finding:
    place, line = answer["place"]
    shown = str(root / Path(place).relative_to(root.resolve())) if place else str(file)
    through = "" if shown == str(file) else f" (imported by {file})"
    match answer:
        case {"refused": rule, "what": what}:
            return Finding(shown, line, rule, f"at import it uses {what}{through}", _REMEDIES[rule])
        case {"too_long": limit}:
            reason = f"its import is not done after {limit:g} s{through}"
            return Finding(shown, line, "time", reason, "do in a task what takes long, or give it more --time-limit")
        case {"error": error}:
            remedy = "correct it; --python names the Python that has Airflow and what the DAGs need"
            return Finding(shown, line, "import", f"cannot be imported: {error}{through}", remedy)
        case _:
            raise AssertionError(f"unexpected answer: {answer}")


def _answers(root: Path, files: Sequence[Path], python: Path, time_limit: float, home: str) -> Iterator[dict[str, Any]]:
    work = {
        "root": str(root.absolute()),
        "files": [str(one.absolute()) for one in files],
        "home": home,
        "time_limit": time_limit,
    }
    try:
        process = subprocess.Popen(
            [str(python), str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(root, home),
        )
    except OSError as error:
        raise ConfigurationError(
            f"{python}: cannot be run: {error.strerror}; expected the Python of Airflow"
        ) from error
    names = {str(one.absolute()): str(one) for one in files}
    output, errors = process.communicate(json.dumps(work).encode())
    for line in output.splitlines():
        answer = json.loads(line)
        yield answer | ({"file": names[answer["file"]]} if "file" in answer else {})
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        raise ConfigurationError(
            f"{python}: ended with {process.returncode} ({last}); expected a Python of 3.10 or later that has Airflow"
        )


def _environment(root: Path, home: str) -> dict[str, str]:
    """That of this process, with an Airflow of which nothing is anywhere."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")},
        "AIRFLOW_HOME": f"{home}/airflow",
        "AIRFLOW__CORE__DAGS_FOLDER": str(root.absolute()),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{os.path.realpath(home)}/{DATABASE}",
        "HOME": home,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
