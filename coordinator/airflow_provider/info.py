"""The metadata of the provider: for ``airflow providers list``, ``airflow providers hooks``, and the form of the
connection type ``etcd``."""

from __future__ import annotations

from typing import Any

_PACKAGE = "coordinator.airflow_provider"
_OPERATORS = (f"{_PACKAGE}.report_operator", f"{_PACKAGE}.asset_event_operator")
_TEXT = {"type": ["string", "null"]}


def get_provider_info() -> dict[str, Any]:
    """As the JSON Schema ``provider_info.schema.json`` of Airflow describes it."""
    return {
        "package-name": "etcd-coordinator",
        "name": "etcd coordinator",
        "description": "Waits for, reports to, and emits asset events for pipelines in many Airflow deployments.",
        "integrations": [{"integration-name": "etcd coordinator", "external-doc-url": "", "tags": ["service"]}],
        "operators": [{"integration-name": "etcd coordinator", "python-modules": [*_OPERATORS]}],
        "sensors": [{"integration-name": "etcd coordinator", "python-modules": [f"{_PACKAGE}.sensor"]}],
        "hooks": [{"integration-name": "etcd coordinator", "python-modules": [f"{_PACKAGE}.hook"]}],
        "triggers": [{"integration-name": "etcd coordinator", "python-modules": [f"{_PACKAGE}.trigger"]}],
        "connection-types": [
            {
                "connection-type": "etcd",
                "hook-class-name": f"{_PACKAGE}.hook.EtcdHook",
                "hook-name": "etcd (coordinator)",
                "conn-fields": {
                    "endpoints": {
                        "label": "Endpoints",
                        "description": "host:port of each member, with commas between; in place of host and port",
                        "schema": _TEXT,
                    },
                    "prefix": {
                        "label": "Prefix of the keys",
                        "description": "as in [etcd] prefix; /coordinator if it is empty",
                        "schema": _TEXT,
                    },
                    "environment": {
                        "label": "Environment",
                        "description": "the name of this Airflow, as in [reporter] environment",
                        "schema": _TEXT,
                    },
                    "ca_cert": {"label": "CA certificate (path)", "schema": _TEXT},
                    "cert": {"label": "Client certificate (path)", "schema": _TEXT},
                    "key": {"label": "Client key (path)", "schema": _TEXT},
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "extra"],
                    "relabeling": {"login": "User"},
                    "placeholders": {"host": "etcd.example.com", "port": "2379", "environment": "default"},
                },
            }
        ],
    }
