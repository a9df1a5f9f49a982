"""The listener's certificates, read again when the files change: they live for weeks, a watcher for longer."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

import structlog

from coordinator.config.settings import HttpSettings
from coordinator.errors import ConfigurationError

_log = structlog.get_logger(__name__)

_Signature = tuple[tuple[int, int, int, int] | None, ...]


class Certificates:
    """What a connection is opened with.

    :raises ConfigurationError: the files cannot be used.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._lock = threading.Lock()
        self._tried = self._signature()
        self._context = self._load()

    @classmethod
    def of(cls, settings: HttpSettings) -> Certificates | None:
        """Those of the settings; ``None``: no TLS."""
        if settings.cert is None or settings.key is None:
            return None
        return cls(settings.cert, settings.key, settings.client_ca)

    def context(self) -> ssl.SSLContext:
        """For the next connection, from the files as they are now; while they do not fit together, as they were."""
        with self._lock:
            signature = self._signature()
            if signature != self._tried:
                self._tried = signature
                try:
                    self._context = self._load()
                except ConfigurationError as error:  # perhaps one of two is written yet; the other will be
                    _log.warning("http.certificate_unreadable", error=str(error), consequence="the old one is used")
                else:
                    _log.info("http.certificate_read", cert=str(self._cert))
            return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._cert, self._key, password=_no_password)
            if self._client_ca is not None:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self._client_ca)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"http: {self._cert}, {self._key}{f', {self._client_ca}' if self._client_ca else ''}: "
                f"{error.reason or 'no PEM'}; expected a certificate and its key in PEM"
            ) from error
        except OSError as error:
            raise ConfigurationError(f"http: cert, key or client_ca cannot be read: {error.strerror}") from error
        return context

    def _signature(self) -> _Signature:
        return tuple(_signature_of(file) for file in (self._cert, self._key, self._client_ca) if file is not None)


def _signature_of(file: Path) -> tuple[int, int, int, int] | None:
    try:
        found = file.stat()
    except OSError:  # loading says so
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    raise ConfigurationError("http: the key has a password; expected one without")
