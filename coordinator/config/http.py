"""The section ``http`` of the settings: where the watcher answers health checks and shows its metrics.

The section ``ui`` listens by the same settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import field_validator, model_validator

from coordinator.config.sections import Section


class ListenSettings(Section):
    """Where a server listens, and with which certificates.

    :ivar listen: ``host:port``; a port alone listens on 127.0.0.1.
    :ivar client_ca: only clients with a certificate of this authority may connect.
    """

    listen: str | None = None
    cert: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None

    @field_validator("listen", mode="before")
    @classmethod
    def _host_and_port(cls, listen: object) -> object:
        text = str(listen) if isinstance(listen, int) else listen
        if not isinstance(text, str):
            return text
        host, _, port = text.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") and host.endswith("]") else None
        if not (port.isascii() and port.isdigit() and int(port) <= 65_535) or (":" in host and bare is None):
            raise ValueError("is not an address; expected 'host:port' or a port, like '127.0.0.1:8600' or '[::1]:8600'")
        return f"{host or '127.0.0.1'}:{int(port)}"

    @model_validator(mode="after")
    def _certificates(self) -> Self:
        if (self.cert is None) is not (self.key is None):
            raise ValueError("cert and key belong together, and only one of them is set")
        if self.client_ca is not None and self.cert is None:
            raise ValueError("client_ca is set without cert and key; without them the server speaks no TLS")
        return self

    @property
    def host(self) -> str:
        """The host to listen on, without brackets."""
        return (self.listen or "").rpartition(":")[0].removeprefix("[").removesuffix("]")

    @property
    def port(self) -> int:
        return int((self.listen or "0").rpartition(":")[2])


class HttpSettings(ListenSettings):
    """The HTTP server of the watcher; without ``listen`` there is none. What it shows to whom: docs/security.md."""
