"""Insecure settings: others on the network could read what is not meant for them, or change messages."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from coordinator.config.etcd import EtcdSettings
from coordinator.config.settings import Settings
from coordinator.config.ui import UiSettings


class Insecure(NamedTuple):
    """:ivar found: the setting, and its consequence."""

    found: str
    remedy: str


def insecure_settings(settings: Settings) -> list[Insecure]:
    """Every insecure setting. Traffic within this machine is safe."""
    found = [*_of_etcd(settings.etcd), *_of_ui(settings.ui)]
    for name, environment in settings.environments.items():
        url = environment.credentials_go_to or ""
        address = urlsplit(url)
        if address.scheme == "http" and not _is_this_machine(address.hostname or ""):
            what = (
                f"environments.{name}.url: {url} is not encrypted and not on this machine: anybody on the network path "
                "can read the credentials and start runs with them"
            )
            found.append(Insecure(what, "use https, with ca_cert for an authority of your own"))
    return found


def _of_etcd(etcd: EtcdSettings) -> Iterator[Insecure]:
    elsewhere = [one for one in etcd.endpoints if not _is_this_machine(one.rpartition(":")[0].strip("[]"))]
    if etcd.username is not None and etcd.ca_cert is None and elsewhere:
        what = (
            f"etcd.username: the connection to {', '.join(elsewhere)} is not encrypted: anybody on the network path "
            f"can read the password of {etcd.username}"
        )
        yield Insecure(what, "set etcd.ca_cert")


def _of_ui(ui: UiSettings) -> Iterator[Insecure]:
    if ui.cert is None and ui.host and not _is_this_machine(ui.host):
        what = (
            f"ui.listen: {ui.listen} is not encrypted and not on this machine alone: anybody who can connect can read "
            "which pipelines there are, how their runs ended, and what people did; so can anybody on the network path"
        )
        yield Insecure(what, "set ui.cert and ui.key, with ui.client_ca or a proxy that asks who it is; or 127.0.0.1")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"
