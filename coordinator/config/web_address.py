"""Addresses of web servers in the settings."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_a_word(text: str) -> bool:
    """Whether it contains neither blanks nor invisible characters."""
    return text.isprintable() and not any(character.isspace() for character in text)


def web_address(url: str) -> str:
    """An address without a ``/`` at its end.

    :raises ValueError: it is none, or has a query or a fragment.
    """
    if "?" in url or "#" in url:
        raise ValueError("has a query or a fragment; expected an address like 'http://127.0.0.1:8080'")
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is not a URL; expected one like 'http://127.0.0.1:8080'")
    try:
        parts = urlsplit(url)
        # A name with an empty or too long label would fail only when it is resolved, and not with an OSError.
        named = parts.hostname is not None and parts.port != 0 and bool(parts.hostname.encode("idna"))
    except ValueError as error:
        raise ValueError(f"{url!r} is not a URL: {error}; expected one like 'http://127.0.0.1:8080'") from None
    if not named or not is_a_word(url):
        raise ValueError(f"{url!r} is not a URL; expected one like 'http://127.0.0.1:8080'")
    return url.rstrip("/")


def origin_of(url: str) -> str:
    """The scheme, host and port of an address, as browsers compare them."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port is not None else "")
