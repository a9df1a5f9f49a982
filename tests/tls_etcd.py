"""A real etcd that speaks TLS, and asks its clients for certificates."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from coordinator.config.etcd import EtcdSettings
from tests.certificates import Authority
from tests.etcd_cluster import Member


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where the two sides have their certificates.

    :ivar trusted: the authorities that etcd believes, which it reads when it starts; ``revoked``: what it believes no
        more, which it reads with every handshake, as its own certificate.
    :ivar ca: the authorities that clients believe.
    """

    folder: Path

    @property
    def server(self) -> tuple[Path, Path]:
        return self.folder / "server.pem", self.folder / "server.key"

    @property
    def client(self) -> tuple[Path, Path]:
        return self.folder / "client.pem", self.folder / "client.key"

    @property
    def trusted(self) -> Path:
        return self.folder / "trusted.pem"

    @property
    def revoked(self) -> Path:
        return self.folder / "revoked.crl"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @classmethod
    def of(cls, folder: Path, authority: Authority) -> TlsFiles:
        """All of them, of one authority, with nothing revoked."""
        folder.mkdir(parents=True, exist_ok=True)
        files = cls(folder)
        for believed in (files.trusted, files.ca):
            replace(believed, authority.cert.read_bytes())
        replace(files.revoked, authority.revoke())
        files.renew(files.server, authority)
        files.renew(files.client, authority)
        return files

    def renew(self, side: tuple[Path, Path], authority: Authority) -> None:
        """Put a new certificate and its key in place of the present ones. :param side: server or client."""
        pair = authority.issue(f"next-{side[0].stem}")
        replace(side[1], pair.key.read_bytes())
        replace(side[0], pair.cert.read_bytes())

    def settings(self, endpoint: str, *, timeout: float = 5.0) -> EtcdSettings:
        """How to connect."""
        cert, key = self.client
        return EtcdSettings(endpoints=[endpoint], timeout=timeout, ca_cert=self.ca, cert=cert, key=key)

    def arguments(self, endpoint: str) -> list[str]:
        """More arguments for etcd."""
        cert, key = self.server
        return [
            f"--listen-client-urls=https://{endpoint}",
            f"--advertise-client-urls=https://{endpoint}",
            f"--cert-file={cert}",
            f"--key-file={key}",
            f"--trusted-ca-file={self.trusted}",
            f"--client-crl-file={self.revoked}",
            "--client-cert-auth",
        ]


def replace(file: Path, content: bytes) -> None:
    """Put a content in place of a file, as a whole: nobody reads half of it."""
    beside = file.with_name(f"{file.name}.new")
    beside.write_bytes(content)
    os.replace(beside, file)


class TlsMember(Member):
    """One of several, see :class:`tests.etcd_cluster.Member`."""

    tls: TlsFiles

    @property
    def settings(self) -> EtcdSettings:
        return self.tls.settings(self.endpoint)

    def command(self, binary: Path) -> list[str]:
        return [*super().command(binary), *self.tls.arguments(self.endpoint)]
