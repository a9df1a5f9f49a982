"""The pure core: the terms of docs/architecture.md as values, the dependency graph, and the rule that decides.

Nothing here does I/O, reads a clock or writes a log. Of our own packages, it imports only ``coordinator.errors``.
Start with ``decide.py`` (the rule) and ``graph.py`` (what it is applied to).
"""
