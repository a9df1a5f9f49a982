"""Environments that are the same Airflow: each run there counts in all of them."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple
from urllib.parse import urlsplit

from coordinator.config.airflow import AirflowSettings
from coordinator.config.settings import Settings

_PORTS = {"http": 80, "https": 443}


class SameAirflow(NamedTuple):
    """:ivar found: the environments, and the consequence."""

    found: str
    remedy: str


def same_airflow(settings: Settings) -> list[SameAirflow]:
    """The environments that have one address, however it is spelled."""
    by_address: defaultdict[str, list[str]] = defaultdict(list)
    for name, environment in settings.airflows.items():
        by_address[_address(environment)].append(name)
    return [
        SameAirflow(
            f"environments {', '.join(sorted(names))} are the same Airflow ({address}): "
            "each run there counts in all of them",
            "correct url (of Amazon MWAA, mwaa_name and region) in one of their sections, or keep one of them",
        )
        for address, names in by_address.items()
        if len(names) > 1
    ]


def _address(environment: AirflowSettings) -> str:
    """What names the Airflow. Case counts in the path alone; a port that the scheme implies may be left out."""
    if environment.kind == "mwaa":  # their url is that of AWS
        return f"{environment.mwaa_name} in {environment.region}"
    parts = urlsplit(environment.url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port not in (None, _PORTS[parts.scheme]) else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
