"""For DAGs: a sensor that waits for a pipeline of any environment, operators that report and that emit asset events, a
connection to etcd.

These are loaded when they are first used. Airflow imports this module for the metadata of the provider, in every
process, and DAG files import it whenever they are parsed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordinator.airflow_provider.asset_event_operator import AssetEventOperator
    from coordinator.airflow_provider.hook import EtcdHook
    from coordinator.airflow_provider.info import get_provider_info
    from coordinator.airflow_provider.report_operator import ReportOperator
    from coordinator.airflow_provider.sensor import PipelineSensor

__all__ = ["AssetEventOperator", "EtcdHook", "PipelineSensor", "ReportOperator", "get_provider_info"]

_MODULES = {
    "AssetEventOperator": "asset_event_operator",
    "EtcdHook": "hook",
    "PipelineSensor": "sensor",
    "ReportOperator": "report_operator",
    "get_provider_info": "info",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
