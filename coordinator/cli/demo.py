"""``coordinator demo``: a wave and a cascade in a real Airflow, live."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.failures import ExitCode
from coordinator.cli.options import JsonOption
from coordinator.cli.output import print_json


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Stay up after the show, until Ctrl-C.")] = False,
    directory: Annotated[
        Path | None,
        typer.Option(
            help="New or empty; for all state and logs, and kept.",
            show_default="a temporary one, kept only if something fails",
        ),
    ] = None,
    dags: Annotated[
        Path | None, typer.Option(help="The playground's DAGs.", show_default="those of the checkout")
    ] = None,
    dependencies: Annotated[
        Path | None,
        typer.Option(
            "--dependencies",
            "-d",
            help="What the DAGs wait for.",
            show_default="dependencies.json beside the DAGs folder",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a wave through seven pipelines in a real Airflow, a cleared run, and the cascade below it.

    Starts an etcd, an Airflow on SQLite and a watcher, all on 127.0.0.1; all of it is gone afterwards, also after
    Ctrl-C (exit code 130). Exit code 1 when anything did not happen as it should: the message says what, and where
    the logs are. With --json the progress goes to stderr.

    Example: [bold]coordinator demo --keep[/bold]
    """
    from coordinator.demo.interruption import Interrupted, interruptible
    from coordinator.demo.production import find_script, produce
    from coordinator.demo.screen import screen_on

    script = find_script(dags, dependencies)
    screen = screen_on(sys.stderr if as_json else sys.stdout)
    try:
        with interruptible():
            produce(
                script,
                screen=screen,
                directory=directory,
                keep=keep,
                on_result=lambda result: print_json(result) if as_json else None,
            )
    except Interrupted:
        typer.echo("coordinator: interrupted; everything that the demo had started has ended", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
