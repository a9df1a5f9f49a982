"""Every entry in every environment, rendered in a process of its own: a template that never ends, or that eats memory,
ends there."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

from coordinator.dags.configuration import Configuration, templates_of
from coordinator.dags.finding import Finding
from coordinator.dags.ignored import NAME, ignore_file
from coordinator.dags.marker import marked

TIME_LIMIT: Final = 10.0
"""Seconds for one entry in one environment."""
_GRACE: Final = 10.0
"""Seconds: after them a process that no signal interrupts is ended."""
_MEMORY_LIMIT: Final = 1 << 29
"""In bytes."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What became of the entries.

    :ivar contents: the bytes of each file, by its environment and its name.
    :ivar findings: everything that is wrong; then nothing is to be written.
    """

    contents: dict[tuple[str, str], bytes]
    findings: list[Finding]


@dataclass(frozen=True, slots=True)
class _Job:
    dag_id: str
    environment: str
    template: str
    values: dict[str, Any]
    own: list[str]
    """The values that nothing but this entry gives."""


def render(
    file: Path, configuration: Configuration, environments: Sequence[str], *, time_limit: float = TIME_LIMIT
) -> Rendered:
    """Render every entry of a configuration.

    :param file: of the configuration: the templates are beside it.
    :param environments: those that are wanted.
    :param time_limit: seconds for one entry in one environment.
    :raises ConfigurationError: the directory of templates is not beside the file.
    """
    jobs = [
        _job(configuration, dag_id, environment)
        for environment in environments
        for dag_id in sorted(configuration.dags)
        if configuration.has(dag_id, environment)
    ]
    contents: dict[tuple[str, str], bytes] = {}
    if configuration.non_dag_folders:
        ignore = ignore_file(configuration.non_dag_folders, configuration.ignore_syntax, name=configuration.name)
        contents = {(environment, NAME): ignore for environment in environments}
    findings: list[Finding] = []
    for job, answer in _answers(jobs, templates_of(file, configuration), time_limit):
        if "text" in answer:
            name = f"{job.dag_id}.py"
            contents[job.environment, name] = marked(answer["text"], name=configuration.name, entry=job.dag_id)
        findings += [_finding(file, job, one) for one in answer.get("findings", ())]
    return Rendered(contents, sorted(set(findings)))


def _job(configuration: Configuration, dag_id: str, environment: str) -> _Job:
    entry = configuration.dags[dag_id]
    values: dict[str, Any] = dict(configuration.values_of(dag_id, environment))
    own = {*entry.values, *entry.per_environment.get(environment, {})} - configuration.common_values(environment).keys()
    return _Job(
        dag_id, environment, entry.template, {**values, "dag_id": dag_id, "environment": environment}, sorted(own)
    )


def _finding(file: Path, job: _Job, told: dict[str, Any]) -> Finding:
    """:param told: by the child, whose parent alone knows where outputs and configuration are."""
    where = {None: f"{job.environment}/{job.dag_id}.py as {job.template} makes it", "": str(file)}
    place = where.get(told["file"], told["file"])
    return Finding(place, told["line"], told["rule"], told["reason"], told["remedy"], job.dag_id, job.environment)


def _answers(jobs: list[_Job], templates: Path, time_limit: float) -> Iterator[tuple[_Job, dict[str, Any]]]:
    """What became of each job. After one that ended its process another process goes on with the next."""
    done = 0
    while done < len(jobs):
        with TemporaryFile() as errors:
            with _process(jobs[done:], templates, time_limit, errors) as lines:
                for line in lines:
                    yield jobs[done], line
                    done += 1
            if done < len(jobs):
                yield jobs[done], {"findings": [_ended(templates / jobs[done].template, time_limit, errors)]}
                done += 1


def _ended(template: Path, time_limit: float, errors: IO[bytes]) -> dict[str, Any]:
    """A finding: the process ended, or had to be ended."""
    errors.seek(0)
    *_, last = ["", *errors.read().decode(errors="replace").splitlines()]
    reason = f"it is not done after {time_limit:g} s, or ends the process that renders it" + (last and f" ({last})")
    told = {"file": str(template), "line": 0, "rule": "template", "reason": reason}
    return told | {"remedy": "look for a loop that does not end"}


@contextmanager
def _process(
    jobs: list[_Job], templates: Path, time_limit: float, errors: IO[bytes]
) -> Iterator[Iterator[dict[str, Any]]]:
    work = {
        "templates": str(templates),
        "time_limit": time_limit,
        "memory_limit": _MEMORY_LIMIT,
        "jobs": [
            {"template": job.template, "values": job.values, "own": job.own, "dag_id": job.dag_id} for job in jobs
        ],
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "coordinator.dags.templating.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(work).encode())
        process.stdin.close()
        yield _lines(process.stdout.fileno(), time_limit + _GRACE)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _lines(pipe: int, patience: float) -> Iterator[dict[str, Any]]:
    """The lines of a pipe, until its end, or until nothing comes for so many seconds."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(patience):
            piece = os.read(pipe, 1 << 16)
            if not piece:
                return
            *whole, rest = (rest + piece).split(b"\n")
            yield from map(json.loads, whole)
