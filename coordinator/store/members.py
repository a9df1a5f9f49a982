"""The members of an etcd cluster: a channel to each endpoint, the one in use, and the authentication token.

etcd3 0.12 supports one endpoint only. gRPC's own balancing over ``ipv4:a,b`` accepts neither host names nor TLS names,
so there is a channel per endpoint here: requests go to one until it fails, then to the next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import structlog

from coordinator.config.credentials import Credential
from coordinator.config.etcd import EtcdSettings
from coordinator.errors import ConfigurationError, CredentialUnavailable
from coordinator.model import bounds
from coordinator.store.etcd_requests import EtcdRequests
from coordinator.store.failures import details_of, never_sent, token_refused, translate, without_frames
from coordinator.store.port import StoreUnavailable
from coordinator.store.protobuf import import_etcd3

log = structlog.get_logger(__name__)

KEEPALIVE_MS = 10_000
"""Not less: etcd disconnects a client that pings more often than every 5 s (``--grpc-keepalive-min-time``)."""

PING_TIMEOUT_MS = 3_000

RECEIVE_LIMIT = 8 * bounds.MIB
"""Bytes of one answer. Five times the default limit of a request to etcd, so that one key and one transaction fit, even
where etcd allows more; a larger answer must not fill the reader's memory."""

CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", RECEIVE_LIMIT),
    ("grpc.max_send_message_length", -1),  # the server's answer names the limit, gRPC's does not
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", PING_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MS),  # otherwise a frozen server is noticed after a minute
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # in fact the time limit of one attempt to connect
    ("grpc.max_reconnect_backoff_ms", 1_000),  # gRPC's default grows to two minutes without an attempt
    ("grpc.use_local_subchannel_pool", 1),  # a new client must not inherit an old one's back-off
    ("grpc.enable_http_proxy", 0),
)

Metadata = tuple[tuple[str, str], ...]


Stamps = tuple[tuple[int, int, int] | None, ...]
"""Identifies the versions of files: for each, its modification time, its size and its inode."""


class _NoPassword(StoreUnavailable):
    """There is no password to log in with; no member is the cause."""


class Member:
    """One endpoint: etcd3's client of it, for its channel and stubs.

    etcd3's own authentication is not used: it fails over a plaintext channel (call credentials need TLS) and does not
    handle the expiry of a token.
    """

    def __init__(self, endpoint: str, settings: EtcdSettings) -> None:
        etcd3 = import_etcd3()
        host, _, port = endpoint.rpartition(":")
        self.endpoint = endpoint
        try:
            self.client = etcd3.Etcd3Client(
                host=host,
                port=int(port),
                ca_cert=settings.ca_cert,
                cert_cert=settings.cert,
                cert_key=settings.key,
                timeout=settings.timeout,
                grpc_options=CHANNEL_OPTIONS,
            )
        except OSError as error:
            raise ConfigurationError(f"etcd: {error.filename} cannot be read: {error.strerror}") from error
        self.kv = self.client.kvstub
        self.leases = self.client.leasestub
        self.maintenance = self.client.maintenancestub
        self.watches = etcd3.etcdrpc.WatchStub(self.client.channel)
        self.authentication = etcd3.etcdrpc.AuthStub(self.client.channel)

    def close(self) -> None:
        # Not client.close(): it is the channel's close and nothing more, but etcd3 is free to change that.
        self.client.channel.close()


class Members:
    """All endpoints, one of which is in use. Safe from several threads.

    Certificates are read again when a member has failed and their files have changed: an open connection does not need
    them, and a channel of gRPC keeps for ever those that it was made with.

    :ivar requests: what was asked, and how long that took.
    """

    def __init__(self, settings: EtcdSettings) -> None:
        """:raises ConfigurationError: certificates or the password cannot be read."""
        if settings.ca_cert is None and (settings.cert or settings.key):
            raise ConfigurationError("etcd: cert and key need ca_cert too; without it the channel would be plaintext")
        if (settings.cert is None) is not (settings.key is None):
            raise ConfigurationError("etcd: cert and key belong together, only one of them is set")
        self.timeout = settings.timeout
        self.requests = EtcdRequests()
        self._settings = settings
        self._username = settings.username
        source = settings.password_source()
        if self._username:
            if not source:
                raise ConfigurationError(
                    "etcd: username is set; set password_env, password_file or password_command too"
                )
            if source.command is None:  # a command runs with the first request, as connecting does
                source.read()
        self._password = Credential(source)
        self._lock = threading.Lock()
        self._logging_in = threading.Lock()
        self._token: str | None = None
        self._closed = False
        self._stamps = self._refused_stamps = _stamps_of(settings)
        self.all = _connect_to_all(settings)
        self._in_use = 0

    @property
    def in_use(self) -> Member:
        return self.all[self._in_use]

    @property
    def has_user(self) -> bool:
        return self._username is not None

    def leave(self, member: Member) -> None:
        """A member has failed: the next request goes to the next one, unless it already does."""
        with self._lock:
            if self._closed or member is not self.in_use or self._renewed() or len(self.all) == 1:
                return
            self._in_use = (self._in_use + 1) % len(self.all)
            successor = self.in_use.endpoint
        log.warning("etcd.endpoint_left", endpoint=member.endpoint, successor=successor)

    def _renewed(self) -> bool:
        """Use new certificates if their files have changed. The caller holds the lock."""
        stamps = _stamps_of(self._settings)
        if stamps in (self._stamps, self._refused_stamps):
            return False
        files = [str(file) for file in _files_of(self._settings) if file is not None]
        try:
            successors = _connect_to_all(self._settings)
        except ConfigurationError as error:  # somebody is just replacing them: the next failure tries again
            self._refused_stamps = stamps
            log.warning("etcd.certificates_unreadable", files=files, error=str(error))
            return False
        gone, self.all, self._stamps = self.all, successors, stamps
        for member in gone:
            member.close()
        log.info("etcd.certificates_read", files=files)
        return True

    def call(self, method: Callable[[Member], Any], request: object, *, doing: str, repeatable: bool) -> Any:
        """Send one request and return the answer.

        :param method: selects the stub's method of a member.
        :param repeatable: it only reads, so that it is tried once on every endpoint. A write is tried on another
            endpoint only if it certainly was not sent.
        :raises StoreError: see :func:`coordinator.store.failures.translate`.
        """
        began, left, tried = monotonic(), len(self.all), list[str]()
        while True:
            member = self.in_use
            try:
                return self.call_one(member, method, request, doing=doing)
            except _NoPassword:
                raise
            except StoreUnavailable as failure:
                self.leave(member)
                left -= 1
                if left and (repeatable or never_sent(failure.__cause__)):
                    tried.append(member.endpoint)
                    continue
                if not tried:
                    raise
                raise StoreUnavailable(
                    f"{failure}; tried before without success: {', '.join(tried)}; {monotonic() - began:.1f} s in all"
                ) from failure.__cause__

    def call_one(self, member: Member, method: Callable[[Member], Any], request: object, *, doing: str) -> Any:
        """Send one request to one member, whether or not it is in use. :raises StoreError: as :meth:`call` does."""
        import grpc

        renewed = False
        while True:
            metadata: Metadata = ()
            began = monotonic()
            try:
                metadata = self.metadata(member)
                began = monotonic()  # a login took a time of its own
                answer = method(member)(request, timeout=self.timeout, metadata=metadata)
                self.requests.answered(request, answer, seconds=monotonic() - began)
                return answer
            except grpc.RpcError as error:
                without_frames(error)
                if token_refused(details_of(error)) and not renewed and self._username:
                    self.renew_token(metadata)
                    renewed = True
                    continue
                # No name for it here: its traceback would hold this frame, and this frame would hold it.
                raise self.requests.failed(
                    request,
                    translate(error, doing=doing, endpoint=member.endpoint, within=self.timeout),
                    seconds=monotonic() - began,
                ) from error
            except ValueError as error:
                # gRPC raises this on a closed channel; another thread may close it, or replace the certificates.
                if member in self.all and not self._closed:
                    raise
                raise StoreUnavailable(f"etcd {member.endpoint}, {doing}: this client is closed") from error

    def metadata(self, member: Member) -> Metadata:
        """The metadata of a request: the token, if there is a user."""
        if self._username is None:
            return ()
        with self._lock:
            token = self._token
        return _shown(self._log_in(member) if token is None else token)

    def renew_token(self, refused: Metadata) -> None:
        """Forget the token that was refused, unless another thread already has a new one."""
        with self._lock:
            if _shown(self._token) == refused:
                self._token = None

    def _log_in(self, member: Member) -> str:
        """Log in, one thread at a time: when a token expires, all threads notice it at once, and each login costs etcd
        a tenth of a second of a core (bcrypt), so that many at once would all time out repeatedly."""
        if not self._logging_in.acquire(timeout=self.timeout):
            raise StoreUnavailable(
                f"etcd {member.endpoint}, logging in as {self._username}: another thread has been trying to for "
                f"{self.timeout} s"
            )
        try:
            with self._lock:
                token = self._token
            return self._authenticate(member) if token is None else token
        finally:
            self._logging_in.release()

    def _authenticate(self, member: Member) -> str:
        import grpc

        try:
            # Read each time: it may have been rotated.
            password = self._password.get(within=self.timeout)
        except (ConfigurationError, CredentialUnavailable) as error:
            # A running watcher treats this like an etcd that is down, until somebody repairs it.
            raise _NoPassword(f"{error}; needed for logging in to etcd as {self._username}") from error
        request = import_etcd3().etcdrpc.AuthenticateRequest(name=self._username, password=password)
        try:
            token = str(member.authentication.Authenticate(request, timeout=self.timeout).token)
        except grpc.RpcError as error:
            without_frames(error)
            if "authentication is not enabled" not in details_of(error):
                raise translate(error, doing=f"logging in as {self._username}", endpoint=member.endpoint) from error
            # As etcd's own client does: a server without authentication needs no token.
            token = ""
        with self._lock:
            self._token = token
        return token

    def close(self) -> None:
        self._closed = True
        for member in self.all:
            member.close()


def _connect_to_all(settings: EtcdSettings) -> tuple[Member, ...]:
    """:raises ConfigurationError: certificates cannot be read."""
    connected: list[Member] = []
    try:
        for endpoint in settings.endpoints:
            connected.append(Member(endpoint, settings))
    except ConfigurationError:
        for member in connected:
            member.close()
        raise
    return tuple(connected)


def _files_of(settings: EtcdSettings) -> tuple[Path | None, ...]:
    return settings.ca_cert, settings.cert, settings.key


def _stamps_of(settings: EtcdSettings) -> Stamps:
    return tuple(map(_stamp_of, _files_of(settings)))


def _stamp_of(file: Path | None) -> tuple[int, int, int] | None:
    try:
        status = file.stat() if file is not None else None
    except OSError:  # reading the file reports the error
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino) if status is not None else None


def _shown(token: str | None) -> Metadata:
    return (("token", token),) if token else ()
