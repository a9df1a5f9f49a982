"""Starts pipelines in many Airflow deployments once their upstreams are satisfied, exactly once, over etcd.

``coordinator.report(...)`` is for pipelines that run outside Airflow, ``coordinator.inputs(...)`` for tasks that read
the inputs of their run. Both are loaded when they are first used: Airflow's scheduler imports this package, and gRPC
must not be loaded into a process that forks.
"""

from typing import TYPE_CHECKING, Any

from coordinator.version import __version__

if TYPE_CHECKING:
    from coordinator.commands.inputs import inputs
    from coordinator.commands.report import report

__all__ = ["__version__", "inputs", "report"]


def __getattr__(name: str) -> Any:
    if name == "report":
        from coordinator.commands.report import report

        return report
    if name == "inputs":
        from coordinator.commands.inputs import inputs

        return inputs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
