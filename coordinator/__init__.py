"""Starts pipelines in many Airflow deployments once their upstreams are satisfied, exactly once, over etcd."""

from coordinator.version import __version__

__all__ = ["__version__"]
