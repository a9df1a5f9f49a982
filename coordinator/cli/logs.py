"""Where log lines go: stderr, one event a line; stdout belongs to what the command prints."""

from __future__ import annotations

import enum
from collections.abc import MutableMapping
from typing import Any

from coordinator.model.printable import json_text, printable


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
        [_without_commands, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
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


def _without_commands(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape names: an escape sequence must not control the terminal, and a line break must not forge a line."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = printable(value)
    return event
