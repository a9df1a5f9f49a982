"""All commands. A new one needs a module with a function, and an import and a line here."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from coordinator.cli.acts import acts
from coordinator.cli.apply import apply
from coordinator.cli.assets import assets
from coordinator.cli.dags import dags
from coordinator.cli.dependencies import dependencies
from coordinator.cli.doctor import doctor
from coordinator.cli.etcd import etcd
from coordinator.cli.explain import explain
from coordinator.cli.failures import EXIT_CODES_HELP, WORDS_HELP, CommandGroup, ExitCode
from coordinator.cli.fill import fill
from coordinator.cli.forget import forget
from coordinator.cli.gaps import gaps
from coordinator.cli.graph import graph
from coordinator.cli.hold import hold
from coordinator.cli.importing import importing
from coordinator.cli.logs import LogLevel, configure_logs
from coordinator.cli.mark import mark
from coordinator.cli.outbox import outbox
from coordinator.cli.output import say
from coordinator.cli.plan import plan
from coordinator.cli.release import release
from coordinator.cli.report import report
from coordinator.cli.rerun import rerun
from coordinator.cli.secure import secure
from coordinator.cli.status import status
from coordinator.cli.ui import ui
from coordinator.cli.validate import validate
from coordinator.cli.waits import waits
from coordinator.cli.watch import watch
from coordinator.version import __version__

# No pretty exceptions: they print local variables, and a local variable may be a credential.
app = typer.Typer(
    name="coordinator",
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog=f"{EXIT_CODES_HELP}\n\n{WORDS_HELP}",
)

app.command()(watch)
app.command()(status)
app.command()(explain)
app.command()(validate)
app.command()(plan)
app.command()(apply)
app.add_typer(dependencies)
app.command()(report)
app.command()(hold)
app.command()(release)
app.command()(rerun)
app.command()(mark)
app.command()(graph)
app.command()(gaps)
app.command()(waits)
app.command()(fill)
app.command()(forget)
app.command()(acts)
app.command()(doctor)
app.add_typer(assets)
app.add_typer(outbox)
app.add_typer(importing)
app.add_typer(dags)
app.command()(secure)
app.command()(ui)
app.command()(etcd)

_SERVICES = frozenset({"watch", "ui"})
"""Commands whose output is their log lines."""


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"coordinator {__version__}")
        raise typer.Exit


@app.callback()
def coordinator(
    context: typer.Context,
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            envvar="COORDINATOR_LOG_LEVEL",
            help="Least severe log line to print, on stderr.",
            show_default="info for a service, else warning",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Start pipelines in many Airflow deployments once their upstreams are satisfied, exactly once, over etcd."""
    del debug, version  # read by CommandGroup and by the callback
    configure_logs(log_level or (LogLevel.INFO if context.invoked_subcommand in _SERVICES else LogLevel.WARNING))


def main() -> None:
    """The entry point of the script."""
    try:
        app(prog_name="coordinator")
    except Exception:  # noqa: BLE001 - Python would exit with 1, which means "a problem was found"
        say(traceback.format_exc().rstrip(), err=True, lines=True)
        typer.echo("coordinator: this is a mistake in the coordinator itself; please report the lines above", err=True)
        sys.exit(ExitCode.MISTAKE)
