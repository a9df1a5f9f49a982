"""The command ``coordinator``: parse, call, print (docs/architecture.md#interfaces).

``application``  the commands, one line each; ``main``
``failures``     turns an error into one message and an exit code
``options``      options that several commands share
``output``       tables for people, JSON for programs
``logs``         where log lines go
and one module for each command. A command imports what it needs when it runs, so that ``--help`` and completion are
quick.

This package may import every other one; nothing imports it.
"""

from coordinator.cli.application import app, main

__all__ = ["app", "main"]
