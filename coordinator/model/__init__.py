"""The pure core: words of the design as values, the dependency graph, and the rule that decides.

Nothing here does I/O, reads a clock or writes a log. It imports nothing of ours but ``coordinator.errors``.
Start with ``decide.py`` (the rule) and ``graph.py`` (what it is applied to).
"""
