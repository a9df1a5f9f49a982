"""Errors at the command line: one clear message on stderr, and an exit code."""

from __future__ import annotations

import enum
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from coordinator.cli.output import say, say_lines
from coordinator.errors import ConfigurationError, CoordinatorError


class ExitCode(enum.IntEnum):
    """The exit codes, all of them documented in ``--help`` and docs/configuration.md."""

    OK = 0
    PROBLEM = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    DIFFERENT = 5
    MISTAKE = 70
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "done, nothing is wrong",
    ExitCode.PROBLEM: "a problem was found, or it could not be done",
    ExitCode.USAGE: "the command line or the configuration is wrong",
    ExitCode.UNREACHABLE: "etcd, an environment or a target gives no answer: try again later",
    ExitCode.REFUSED: "etcd, an environment or a target answers, and says no: credentials or rights",
    ExitCode.DIFFERENT: "plan --exit-code, apply --check: publishing the file would change something",
    ExitCode.MISTAKE: "a mistake in the coordinator itself",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
}

EXIT_CODES_HELP = "[bold]Exit codes[/bold]: " + "; ".join(f"[bold]{code}[/bold] {code.meaning}" for code in ExitCode)

WORDS_HELP = "[bold]Words[/bold] such as partition, settled, busy, stuck, record, held, late: docs/glossary.md"


def exit_code_of(error: CoordinatorError) -> ExitCode:
    """The exit code for an error."""
    # Imported here: the ports import pydantic, which --help does not need.
    from coordinator.dags.errors import TargetRefused, TargetUnavailable
    from coordinator.model.runstate import InvalidReport
    from coordinator.runners.port import EnvironmentUnavailable, RequestRefused
    from coordinator.store.port import AccessDenied, StoreUnavailable

    match error:
        case ConfigurationError() | InvalidReport():
            return ExitCode.USAGE
        case StoreUnavailable() | EnvironmentUnavailable() | TargetUnavailable():
            return ExitCode.UNREACHABLE
        case AccessDenied() | RequestRefused() | TargetRefused():
            return ExitCode.REFUSED
        case _:
            return ExitCode.PROBLEM


def _lines(error: CoordinatorError) -> list[str]:
    """The lines of an error: one for each mistake of what people wrote. Otherwise a name could forge one."""
    from coordinator.store.embedded import EmbeddedEtcdError

    match error:
        case ConfigurationError():
            return list(error.lines)
        case EmbeddedEtcdError():
            return str(error).split("\n")
        case _:
            return [str(error)]


@contextmanager
def _plain_words() -> Iterator[None]:
    """Show a wrong argument as typer does, without pydantic's prefix."""
    try:
        yield
    except typer.BadParameter as error:
        error.message = error.message.removeprefix("Value error, ")
        raise


def _let_flow(command: Any) -> None:
    """Join each paragraph of the help texts into one line, so that the terminal breaks it, and not the source code."""
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for one in getattr(command, "commands", {}).values():
        _let_flow(one)


class CommandGroup(TyperGroup):
    """Runs a command, and turns an error that we raised on purpose into its message and exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        _let_flow(self)

    def parse_args(self, ctx: Any, args: list[str]) -> Any:  # typer's own type for it has moved between its versions
        with _plain_words():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _plain_words():
                return super().invoke(ctx)
        except CoordinatorError as error:
            if ctx.params.get("debug"):
                say(traceback.format_exc().rstrip(), err=True, lines=True)
            else:
                first, *others = _lines(error)
                say_lines([f"coordinator: {first}", *others], err=True)
            raise typer.Exit(exit_code_of(error)) from None
        except typer.Abort:  # Ctrl-C or the end of the input at a question; nothing is done before a question
            typer.echo("\ncoordinator: interrupted at a question, nothing was done", err=True)
            raise typer.Exit(ExitCode.INTERRUPTED) from None
