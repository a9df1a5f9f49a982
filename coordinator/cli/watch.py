"""``coordinator watch``: the service."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.options import ConfigOption, JsonOption, OwnerOption

if TYPE_CHECKING:
    from coordinator.config.settings import Settings


def watch(
    *,
    config: ConfigOption = None,
    dependencies: Annotated[
        Path | None,
        typer.Option(
            "--dependencies",
            "-d",
            envvar="COORDINATOR_DEPENDENCIES",
            help="The file to publish, and to publish again when it changes. Without it: follow what is published.",
            show_default=False,
        ),
    ] = None,
    owner: OwnerOption = "default",
    max_runtime: Annotated[
        float | None, typer.Option(min=0.0, help="Stop after so many seconds.", show_default=False)
    ] = None,
    max_events: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many changes of run states.", show_default=False)
    ] = None,
    watcher_id: Annotated[
        str | None,
        typer.Option(help="Its name, which no other watcher may have.", show_default="host, pid and a random part"),
    ] = None,
    decision_log: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|-", help="Write a line for each decision: to a file, or to stdout.", show_default=False
        ),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Say what would be started now. Starts, writes and publishes nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Watch for completions, and start what depends on them.

    Any number may run: one leads, the others take over when it goes. SIGTERM and Ctrl-C end it cleanly; nothing is
    lost or doubled when it is killed. With a limit it ends by itself, as the watcher DAG wants it.

    Example: [bold]coordinator watch --config coordinator.toml --dependencies dependencies.json[/bold]
    """
    if preview:
        from coordinator.cli.previewing import show_preview

        show_preview(config, dependencies, owner, as_json=as_json)
        return
    if as_json:
        raise typer.BadParameter(
            "only with --preview; the log of the service is JSON where stderr is no terminal", param_hint="--json"
        )
    import structlog

    from coordinator.cli.gc_tuning import RareCollections
    from coordinator.config.insecure import insecure_settings
    from coordinator.config.loading import load_settings
    from coordinator.config.same_airflow import same_airflow
    from coordinator.controller.clock import SystemClock
    from coordinator.controller.http_app import application
    from coordinator.controller.http_server import HttpServer
    from coordinator.controller.metrics import WatcherMetrics
    from coordinator.controller.service import FileToPublish, Watcher
    from coordinator.model import bounds
    from coordinator.runners.making import make_runner
    from coordinator.store.capacity import SizeAlarm
    from coordinator.store.connection import connect

    settings = load_settings(config)
    if decision_log is not None:
        watcher_settings = settings.watcher.model_copy(update={"decision_log": decision_log})
        settings = settings.model_copy(update={"watcher": watcher_settings})
    if dependencies is not None:
        _require(dependencies)
    _require_environments(settings)
    log = structlog.get_logger(__name__)
    log.info("settings.read", file=settings.file, environments=sorted(settings.environments))
    for insecure in insecure_settings(settings):
        log.warning("settings.insecure", reason=insecure.found, remedy=insecure.remedy)
    for same in same_airflow(settings):
        log.warning("settings.same_airflow", reason=same.found, remedy=same.remedy)
    clock = SystemClock()
    with contextlib.ExitStack() as stack:
        stack.enter_context(RareCollections())
        store = stack.enter_context(contextlib.closing(connect(settings.etcd)))
        runners = {
            name: stack.enter_context(contextlib.closing(make_runner(name, environment)))
            for name, environment in settings.environments.items()
        }
        watcher = Watcher(
            settings,
            store=store,
            runners=runners,
            file=FileToPublish(dependencies, owner) if dependencies is not None else None,
            watcher_id=watcher_id,
            clock=clock,
            size_alarm=SizeAlarm(store.status, quota=settings.etcd.quota_mib * bounds.MIB),
        )

        def stop(number: int, frame: FrameType | None) -> None:
            del number, frame
            watcher.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        if settings.http.listen is not None:
            answers = application(watcher.liveness, clock.monotonic, WatcherMetrics(watcher, clock, store.requests))
            stack.enter_context(HttpServer(settings.http, answers))
        watcher.run(max_runtime=max_runtime, max_events=max_events)


def _require_environments(settings: Settings) -> None:
    """A watcher without any environment can start nothing: its configuration was probably not found.

    :raises ConfigurationError: none is configured.
    """
    from coordinator.errors import ConfigurationError

    if (missing := settings.without_environments) is not None:
        raise ConfigurationError("; ".join(missing))


def _require(file: Path) -> None:
    """Check that a file exists at the start; otherwise its name is wrong. A file that is deleted later is only shown.

    :raises ConfigurationError: it cannot be read.
    """
    from coordinator.errors import ConfigurationError

    try:
        file.open("rb").close()
    except OSError as error:
        raise ConfigurationError(
            f"{file}: cannot be read: {error.strerror}; expected the dependencies.json that --dependencies or "
            "COORDINATOR_DEPENDENCIES names"
        ) from error
