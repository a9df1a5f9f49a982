"""TLS of an HTTP server: from files that are rotated while it runs."""

from __future__ import annotations

import os
import ssl
import time
from pathlib import Path

import structlog

from coordinator.config.http import ListenSettings
from coordinator.errors import ConfigurationError

_log = structlog.get_logger(__name__)

READ_AGAIN_AFTER = 60.0
"""Seconds after which files that could not be used are read again, though they look the same."""

_Files = tuple[tuple[int, ...] | None, ...]


class TlsFiles:
    """What a connection is opened with. The files are read again when they have changed, not for each connection.

    While they do not fit together, what they were stays in use. Asked from one thread.

    :param context: from the files as they are at the start.
    """

    def __init__(self, settings: ListenSettings, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._context = context
        self._read: _Files | None = None  # with the first connection: they may have changed since the start
        self._read_again_at = 0.0

    def context(self) -> ssl.SSLContext:
        """From the files as they are now, or as they were while they could be used last."""
        found, now = self._on_disk(), time.monotonic()
        if found == self._read and now < self._read_again_at:
            return self._context
        self._read, self._read_again_at = found, float("inf")
        try:
            self._context = tls_context(self._settings) or self._context
        except ConfigurationError as error:  # perhaps one of two is written yet; the other will be
            self._read_again_at = now + READ_AGAIN_AFTER
            _log.warning("http.certificate_unreadable", error=str(error), consequence="the old one is used")
        return self._context

    def _on_disk(self) -> _Files:
        """What tells one state of the files from another."""
        return tuple(_told_apart(one) for one in _files(self._settings))


def _told_apart(file: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _files(settings: ListenSettings) -> list[Path]:
    return [file for file in (settings.cert, settings.key, settings.client_ca) if file is not None]


def tls_context(settings: ListenSettings, section: str = "http") -> ssl.SSLContext | None:
    """What a connection is opened with, from the files as they are now; ``None``: no TLS.

    :param section: of the settings, for messages.
    :raises ConfigurationError: the files cannot be used.
    """
    if settings.cert is None or settings.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.cert, settings.key, password=lambda: _no_password(section))
        if settings.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(settings.client_ca)
    except ssl.SSLError as error:
        files = ", ".join(map(str, _files(settings)))
        raise ConfigurationError(
            f"{section}: {files}: {error.reason or 'no PEM'}; expected a certificate and its key in PEM"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{section}: cert, key or client_ca cannot be read: {error.strerror}") from error
    return context


def _no_password(section: str) -> str:
    """OpenSSL would ask at the terminal."""
    raise ConfigurationError(f"{section}: the key has a password; expected one without")
