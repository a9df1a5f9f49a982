"""Where log lines go: stderr, one event a line; stdout belongs to what the command prints."""

from __future__ import annotations

import enum
import textwrap
from collections.abc import MutableMapping
from typing import Any, TextIO

from coordinator.model.printable import json_text, printable, printable_lines


class LogLevel(enum.StrEnum):
    """The least severe line that is printed."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def configure_logs(level: LogLevel) -> None:
    """Lines with colours on a terminal, JSON anywhere else."""
    import logging
    import sys

    import structlog

    terminal = sys.stderr.isatty()
    renderer: list[structlog.typing.Processor] = (
        # Not structlog's default tracebacks: they print local variables, one of which may be a credential.
        [_without_commands, structlog.dev.ConsoleRenderer(exception_formatter=_harmless_traceback)]
        if terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=json_text)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        # Looked up at each call: tests and redirections replace stderr.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _harmless_traceback(lines: TextIO, exc_info: Any) -> None:
    """A traceback, indented, as an exception's words may have line breaks, and a log line begins at the margin.

    Not structlog's own choice of tracebacks: they print local variables, and one of them may be a credential.
    """
    import traceback

    text = "".join(traceback.format_exception(*exc_info)).rstrip()
    lines.write("\n" + textwrap.indent(printable_lines(text), "    ", lambda _: True))


def _without_commands(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape names: an escape sequence must not control the terminal, and a line break must not forge a line."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = printable(value)
    return event
