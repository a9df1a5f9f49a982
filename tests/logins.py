"""How often somebody has logged in to an etcd, as that etcd counts it."""

from __future__ import annotations

import re

import requests

_LOGINS = re.compile(r'^grpc_server_handled_total\{grpc_code="OK",grpc_method="Authenticate",.*\} (\S+)$', re.MULTILINE)


def logins(endpoint: str) -> int:
    """:param endpoint: ``host:port``, without TLS."""
    answer = requests.get(f"http://{endpoint}/metrics", timeout=5)
    return int(sum(map(float, _LOGINS.findall(answer.text))))
