"""The route from one thread to one environment: proxy, certificates, and one connection."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import cast

import requests
from urllib3 import BaseHTTPResponse, HTTPConnectionPool

from coordinator.runners.airflow.deadline import Deadline, ExchangeLimits, LimitedAdapter
from coordinator.runners.port import Permit


class Route:
    """See the module. Belongs to one thread, except for :meth:`close`.

    :param base: the address of the environment.
    :param verify: as for ``requests``: the certificates to trust, or whether to verify at all.
    :param proxies: as ``requests`` takes them, by scheme.
    :raises requests.RequestException: an address is invalid.
    :raises OSError: there is no such file of certificates.
    """

    def __init__(self, base: str, *, verify: bool | str, proxies: Mapping[str, str]) -> None:
        self._limits = ExchangeLimits()
        self._adapter = LimitedAdapter(self._limits)
        address = requests.PreparedRequest()
        address.prepare_url(base, None)
        assert address.url is not None
        pool = self._adapter.get_connection_with_tls_context(address, verify, proxies=dict(proxies))
        self._adapter.cert_verify(pool, address.url, verify, None)  # type: ignore[no-untyped-call]
        self._pool = cast(HTTPConnectionPool, pool)
        # A proxy for plain HTTP gets the whole address.
        self._prefix = self._adapter.request_url(address, dict(proxies)).rstrip("/")

    @contextlib.contextmanager
    def asking(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None,
        *,
        deadline: Deadline,
        permit: Permit | None,
    ) -> Iterator[BaseHTTPResponse]:
        """One request. Its answer has been read up to the body, and is closed at the end.

        :param path: with the query; special characters in names are quoted.
        :param deadline: bounds every wait, including the body.
        :param permit: called before bytes of the request leave.
        :raises urllib3.exceptions.HTTPError: no answer.
        :raises OSError: no answer.
        """
        self._limits.deadline, self._limits.permit = deadline, permit
        try:
            response = self._pool.urlopen(
                method,
                self._prefix + path,
                body=content,
                headers=headers,
                timeout=max(0.001, deadline.remaining()),
                # A redirected POST would become a GET, or send our credentials to another host.
                redirect=False,
                retries=False,
                assert_same_host=False,  # the host of a proxy's pool is another one
                preload_content=False,
                decode_content=False,
            )
            try:
                yield response
            finally:
                response.close()
                response.release_conn()
        finally:
            self._limits.deadline = self._limits.permit = None

    def close(self) -> None:
        """Close the connection; if another thread is using it, after that exchange. To be called after the last
        request."""
        self._pool.close()  # the adapter would only drop its reference
        self._adapter.close()
