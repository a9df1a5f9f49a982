"""From nothing to the show and back: what is needed, where state is, the stage, the acts, and the end of all of it."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

import coordinator
from coordinator.demo.following import Follower
from coordinator.demo.interruption import Interrupted, heed, pause
from coordinator.demo.plot import Plot, plot_of
from coordinator.demo.result import as_json
from coordinator.demo.screen import Screen
from coordinator.demo.show import DemoFailed, Show, partition_of_today
from coordinator.demo.stage import Stage, check_extras
from coordinator.errors import ConfigurationError, CoordinatorError
from coordinator.model.documents import parse_document
from coordinator.model.references import DEFAULT_ENVIRONMENT

LOG_NAME = "demo.log"
_LOOK_EVERY = 0.5
_REMOVAL_TRIES = 20

Result = dict[str, Any]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Script:
    """What is played: DAGs, the dependencies between them, and the acts that follow from these."""

    dags: Path
    dependencies: Path
    plot: Plot


def find_script(dags: Path | None, dependencies: Path | None) -> Script:
    """Find and check the files.

    :param dags: by default that of the checkout which this package is run from.
    :param dependencies: by default dependencies.json beside the DAGs folder.
    :raises ConfigurationError: they are not there, or not good.
    """
    folder = (dags or Path(coordinator.__file__).parent.parent / "dags").absolute()
    if not any(folder.glob("*.py")):
        raise ConfigurationError(
            f"{folder}: expected the repository's DAGs, found {'no *.py' if folder.is_dir() else 'no such folder'}; "
            "the demo is run from a checkout of the repository, or with --dags"
        )
    file = (dependencies or folder.parent / "dependencies.json").absolute()
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}; expected a dependencies.json") from error
    document = parse_document(text, source=str(file), environments=[DEFAULT_ENVIRONMENT])
    return Script(folder, file, plot_of(document, source=str(file)))


def produce(
    script: Script, *, screen: Screen, directory: Path | None, keep: bool, on_result: Callable[[Result], None]
) -> None:
    """Show it. Everything that was started has ended when this returns, or raises.

    :param directory: for all state, kept; by default a temporary one, which is kept only if something fails.
    :param keep: stay up after the show, until :class:`Interrupted`.
    :param on_result: given the result, also that of a show that failed.
    :raises DemoFailed: what did not happen, and where the logs are.
    :raises ConfigurationError: something is missing; nothing was started.
    """
    check_extras()
    began = time.monotonic()
    with _state_in(directory) as place, _logs_in(place / LOG_NAME):
        stage = Stage(place, dags=script.dags, dependencies=script.dependencies)
        result: Result = {"ok": False, "error": None, "directory": str(place)}
        reported = False
        try:
            with screen.preparing() as tell:
                stage.start(tell)
            started = round(time.monotonic() - began, 1)
            result |= _addresses(stage)
            with Follower(stage.etcd_settings) as follower:
                partition = partition_of_today()
                screen.say(*where_to_look(stage, script.plot, partition))
                show = Show(stage, script.plot, screen=screen, follower=follower, partition=partition)
                show.performance.seconds["start"] = started
                try:
                    show.run()
                finally:
                    result |= as_json(show.performance)
            result["ok"] = reported = True
            on_result(result)
            if keep:
                _stay(stage, screen, script)
        except CoordinatorError as error:
            heed()  # a terminal's Ctrl-C goes to etcd, too, whose end is no failure then
            log.exception("demo.failed")
            if not reported:
                on_result({**result, "error": str(error)})
            raise DemoFailed(
                f"{error}\nThe logs are kept: {place}/watcher.log, {LOG_NAME}, airflow/process-logs/*.log, "
                "etcd/etcd.log and airflow/coordinator-outbox/deliverer.log there"
            ) from error
        finally:
            with screen.waiting("Everything is being ended"):
                stage.close()
        hint = "" if keep else " With --keep (make demo KEEP=1) it stays up."
        screen.say("", f"All of it has ended, after {time.monotonic() - began:.0f} s.{hint}")


def where_to_look(stage: Stage, plot: Plot, partition: str) -> list[str]:
    """Addresses, and commands that work while the stage is up."""
    command = _command()
    explained = plot.cascade.expected[min(1, len(plot.cascade.expected) - 1)]
    return [
        "",
        f"  Airflow   {stage.airflow.url}   user {stage.airflow.username}   password {stage.airflow.password}",
        f"  etcd      {stage.etcd.endpoint}   everything is below {stage.etcd_settings.prefix}/",
        f"  watcher   {stage.health_url}",
        f"  files     {stage.directory}",
        "",
        f"  export COORDINATOR_CONFIG={stage.config}",
        f"  {command} status --all",
        f"  {command} explain {explained} {partition}",
    ]


def _stay(stage: Stage, screen: Screen, script: Script) -> None:
    """Until somebody interrupts, which is how this ends well."""
    try:
        with screen.waiting(f"{script.plot.wave.top} is put on its schedule"):
            stage.run_by_the_clock()
        screen.say(
            "",
            f"{script.plot.wave.top} now runs every minute, and a wave of the others after it. Look at it in Airflow.",
            "Ctrl-C ends everything.",
        )
        while True:
            stage.check()
            pause(_LOOK_EVERY)
    except Interrupted:
        return


def _addresses(stage: Stage) -> Result:
    return {
        "airflow": {
            "url": stage.airflow.url,
            "username": stage.airflow.username,
            "password": stage.airflow.password,
        },
        "etcd": {"endpoint": stage.etcd.endpoint, "prefix": stage.etcd_settings.prefix},
        "watcher": {"url": stage.health_url},
        "config": str(stage.config),
    }


def _command() -> str:
    """How ``coordinator`` is called here: make's virtual environment is not on PATH."""
    beside = Path(sys.executable).parent / "coordinator"
    if shutil.which("coordinator") or not beside.exists():
        return "coordinator"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


@contextmanager
def _state_in(directory: Path | None) -> Iterator[Path]:
    if directory is not None:
        yield _empty(directory.absolute())
        return
    made = Path(tempfile.mkdtemp(prefix="coordinator-demo-"))
    try:
        yield made
    except Exception:
        raise  # kept: the logs in it say what went wrong
    except BaseException:
        _remove(made)
        raise
    else:
        _remove(made)


def _empty(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        found = sorted(each.name for each in directory.iterdir())
    except OSError as error:
        raise ConfigurationError(f"{directory}: cannot be used for state: {error.strerror}") from error
    if found:
        raise ConfigurationError(
            f"{directory}: expected a new or empty directory, found {', '.join(found[:5])}; name another one"
        )
    return directory


def _remove(directory: Path) -> None:
    """What was killed a moment ago may still be writing its last file."""
    for _ in range(_REMOVAL_TRIES):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(0.1)
    print(f"coordinator: {directory} could not be removed", file=sys.stderr)


@contextmanager
def _logs_in(path: Path) -> Iterator[None]:
    """Log lines go to a file: between live tables they would be noise."""
    before = structlog.get_config()
    with path.open("a", encoding="utf-8", buffering=1) as file:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            wrapper_class=structlog.make_filtering_bound_logger("info"),
            logger_factory=lambda *_: structlog.PrintLogger(file),
            cache_logger_on_first_use=False,
        )
        try:
            yield
        finally:
            structlog.configure(**before)
