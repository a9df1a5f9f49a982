"""The section ``ui`` of the settings: where ``coordinator ui`` shows its page, and where people reach it."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import field_validator

from coordinator.config.http import ListenSettings
from coordinator.config.web_address import web_address


class UiSettings(ListenSettings):
    """The page. What it shows to whom: docs/security.md.

    :ivar url: where people's browsers reach it, for links to it; a path in it is the path of the page behind a proxy.
        ``None``: nobody links to it.
    """

    listen: str | None = "127.0.0.1:8610"
    url: str | None = None

    @field_validator("url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is not None and "@" in url:
            raise ValueError("holds credentials; expected an address like 'https://coordinator.example'")
        return None if url is None else web_address(url)

    @property
    def path(self) -> str:
        """The path that every address of the page begins with; empty, unless ``url`` has one."""
        return urlsplit(self.url or "").path

    @property
    def name(self) -> str | None:
        """The host that ``url`` names."""
        return urlsplit(self.url or "").hostname
