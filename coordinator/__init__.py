"""Starts pipelines in many Airflow deployments once their upstreams are satisfied, exactly once, over etcd.

``coordinator.report(...)`` is for pipelines that run outside Airflow. It is loaded when it is first used:
Airflow's scheduler imports this package, and gRPC must not be loaded into a process that forks.
"""

from typing import TYPE_CHECKING, Any

from coordinator.version import __version__

if TYPE_CHECKING:
    from coordinator.reporting import report

__all__ = ["__version__", "report"]


def __getattr__(name: str) -> Any:
    if name == "report":
        from coordinator.reporting import report

        return report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
