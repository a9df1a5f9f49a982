"""Every entry in every environment, rendered in a process of its own: a template that never ends, or that eats memory,
ends there."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import IO, Any, Final

from coordinator.dags.configuration import Configuration, Place, ValuePath, templates_of
from coordinator.dags.finding import Finding, merged
from coordinator.dags.ignored import NAME, ignore_file
from coordinator.dags.marker import marked
from coordinator.errors import ConfigurationError

TIME_LIMIT: Final = 10.0
"""Seconds for one entry in one environment."""
_GRACE: Final = 10.0
"""Seconds: after them a process that no signal interrupts is ended."""
_MEMORY_LIMIT: Final = 1 << 29
"""In bytes."""
MOST_BYTES: Final = 200_000_000
"""Of all files together: they are kept in memory until all of them are known to be good."""
_Use = tuple[str, str]
"""Of a template: an entry, in an environment."""
_ADD: Final = "add it to 'values' of the entry, the environment or the file, or write default(...)"


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
    """An entry in an environment. Its values are many, and are put together when it is its turn."""

    dag_id: str
    environment: str
    """Empty: what the entry is given is not known, and its template is checked only."""
    template: str


def render(
    file: Path,
    configuration: Configuration,
    environments: Sequence[str],
    *,
    time_limit: float = TIME_LIMIT,
    unsound: Mapping[str, str] = MappingProxyType({}),
    places: Mapping[ValuePath, Place] = MappingProxyType({}),
) -> Rendered:
    """Render every entry of a configuration.

    :param file: of the configuration: the templates are beside it.
    :param environments: those that are wanted.
    :param time_limit: seconds for one entry in one environment.
    :param unsound: the templates of further entries, by dag_id, of which nothing else can be checked.
    :param places: where the values of the configuration stand in its file.
    :raises ConfigurationError: the directory of templates is not beside the file; the files are too large together.
    """
    jobs = [
        _Job(dag_id, environment, configuration.dags[dag_id].template)
        for environment in environments
        for dag_id in sorted(configuration.dags)
        if configuration.has(dag_id, environment)
    ]
    jobs += [_Job(dag_id, "", template) for dag_id, template in sorted(unsound.items())]
    contents: dict[tuple[str, str], bytes] = {}
    if configuration.non_dag_folders:
        folders, syntax, whose = configuration.non_dag_folders, configuration.ignore_syntax, configuration.name
        contents = {
            (environment, NAME): ignore_file(folders, syntax, name=whose, environment=environment)
            for environment in environments
        }
    wrong: list[tuple[_Job, dict[str, Any]]] = []
    size = 0
    for job, answer in _answers(configuration, jobs, templates_of(file, configuration), time_limit):
        if "text" in answer:
            content = marked(answer["text"], name=configuration.name, entry=job.dag_id, environment=job.environment)
            contents[job.environment, f"{job.dag_id}.py"] = content
            size += len(content)
            if size > MOST_BYTES:
                raise ConfigurationError(
                    f"{file}: expected DAG files of at most {MOST_BYTES:,} bytes together, found more; split it into "
                    "several configurations, or generate one environment at a time"
                )
        wrong += [(job, told) for told in answer.get("findings", ())]
    return Rendered(contents, merged(_findings(file, places, jobs, wrong)))


def _work(configuration: Configuration, job: _Job) -> dict[str, Any]:
    """What the child is told of a job. ``own``: the values that nothing but this entry gives."""
    if not job.environment:
        return {"template": job.template, "values": None, "own": [], "dag_id": job.dag_id}
    entry = configuration.dags[job.dag_id]
    values = {**entry.values, **entry.per_environment.get(job.environment, {})}
    common = configuration.common_values(job.environment)
    own = sorted(values.keys() - common.keys())
    return {
        "template": job.template,
        "values": {**values, "dag_id": job.dag_id, "environment": job.environment},
        "own": own,
        "dag_id": job.dag_id,
    }


def _findings(
    file: Path, places: Mapping[ValuePath, Place], jobs: list[_Job], wrong: list[tuple[_Job, dict[str, Any]]]
) -> Iterator[Finding]:
    """:param wrong: what the child told, whose parent alone knows where outputs and configuration are."""
    users: dict[str, set[_Use]] = {}
    for job in jobs:
        if job.environment:
            users.setdefault(job.template, set()).add((job.dag_id, job.environment))
    lacking: dict[tuple[str, int, str], set[_Use]] = {}
    for job, told in wrong:
        what = (told["file"] or "", told["line"], told.get("undefined", ""))
        lacking.setdefault(what, set()).add((job.dag_id, job.environment))
    for job, told in wrong:
        place, line, reason, remedy = told["file"], told["line"], told["reason"], told["remedy"]
        if place is None:
            place = f"{job.environment}/{job.dag_id}.py as {job.template} makes it"
        elif place == "":
            place, line = str(file), _line_of_value(places, job, told["value"])
        elif told.get("missing"):
            place, line = str(file), _line(places, ("dags", job.dag_id, "template"))
        elif told.get("undefined"):
            name, near = told["undefined"], told["near"]
            of_near = _line_of_value(places, job, near) if near else 0
            lack = lacking[place, line, name]
            have = users[job.template] - lack
            if have:  # the template is right
                beside = {dag_id for dag_id, environment in users[job.template] if environment == job.environment}
                of_all = len(beside) > 1 and not any(environment == job.environment for _, environment in have)
                whose = f"the environment {job.environment} does not give" if of_all else "the entry does not have"
                reason = f"{place}:{line} needs the value {name}, which {whose}"
                remedy = f"did you mean it by {near}, which no template uses? else {_ADD}" if near else _ADD
                at = ("environments", job.environment) if of_all else ("dags", job.dag_id)
                place, line = str(file), of_near or _line(places, at)
            elif of_near and len({dag_id for dag_id, _ in lack}) == 1:
                remedy = f"did you mean {near}, of {file}:{of_near}? else {_ADD}"
        yield Finding(str(place), line, told["rule"], reason, remedy, job.dag_id, job.environment)


def _line_of_value(places: Mapping[ValuePath, Place], job: _Job, name: str) -> int:
    entry = ("dags", job.dag_id)
    return _line(places, (*entry, "per_environment", job.environment, name), (*entry, "values", name), entry)


def _line(places: Mapping[ValuePath, Place], *paths: ValuePath) -> int:
    """The line of the first of these that the file has; 0: of none."""
    return next((places[path][0] for path in paths if path in places), 0)


def _answers(
    configuration: Configuration, jobs: list[_Job], templates: Path, time_limit: float
) -> Iterator[tuple[_Job, dict[str, Any]]]:
    """What became of each job. After one that ended its process another process goes on with the next."""
    done = 0
    while done < len(jobs):
        with TemporaryFile() as errors:
            with _process(templates, time_limit, errors) as ask:
                environment = None
                for job in jobs[done:]:
                    if job.environment and job.environment != environment:
                        environment = job.environment
                        if ask({"common": configuration.common_values(environment)}) is None:
                            break
                    answer = ask(_work(configuration, job))
                    if answer is None:
                        break
                    yield job, answer
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


_Ask = Callable[[dict[str, Any]], dict[str, Any] | None]
"""Tells the process something, and gives its answer; ``None``: it has ended, or does not answer."""


@contextmanager
def _process(templates: Path, time_limit: float, errors: IO[bytes]) -> Iterator[_Ask]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "coordinator.dags.templating.child", str(_MEMORY_LIMIT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    to_it, lines = process.stdin, _lines(process.stdout.fileno(), time_limit + _GRACE)

    def ask(what: dict[str, Any]) -> dict[str, Any] | None:
        with suppress(BrokenPipeError):
            to_it.write(json.dumps(what, ensure_ascii=False).encode() + b"\n")
            to_it.flush()
        return next(lines, None)

    try:
        ask({"templates": str(templates), "time_limit": time_limit})
        yield ask
    finally:
        process.kill()
        process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()
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
