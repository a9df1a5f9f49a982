"""A stage on which everything is encrypted: etcd asks for certificates, and the environments speak HTTPS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509

from coordinator.config.airflow import AirflowSettings
from coordinator.config.etcd import EtcdSettings
from tests.certificates import Authority
from tests.etcd_cluster import Cluster
from tests.faults.stage import DRILL, ETCD_TIMEOUT, REPORTERS, WATCHERS, Stage
from tests.faults.witnessed_airflow import WitnessedAirflow
from tests.tls_etcd import TlsFiles, TlsMember, replace


class EncryptedStage(Stage):
    """Each party has a client certificate of its own.

    :ivar authority: of etcd and its clients; ``airflow_authority``: of the environments.
    :ivar files: etcd's; ``airflow_ca``: whom the watchers believe to be an Airflow.
    """

    def __init__(self, directory: Path, **options: Any) -> None:
        self._certificates = directory / "certificates"
        self._certificates.mkdir()
        self.authority = self.new_authority("etcd-authority")
        self.airflow_authority = self.new_authority("airflow-authority")
        self.files = TlsFiles.of(self._certificates, self.authority)
        for who in (DRILL, WATCHERS, REPORTERS):
            self.files.renew(self.certificate_of(who), self.authority)
        self.airflow_ca = self._certificates / "airflow-ca.pem"
        replace(self.airflow_ca, self.airflow_authority.cert.read_bytes())
        self._airflow_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.renew_airflow(self.airflow_authority)
        super().__init__(directory, **options)

    def new_authority(self, name: str) -> Authority:
        return Authority(self._certificates, name)

    def certificate_of(self, who: str) -> tuple[Path, Path]:
        """Where the certificate and the key of one of the parties stand."""
        return self._certificates / f"{who}.pem", self._certificates / f"{who}.key"

    def renew_airflow(self, authority: Authority) -> bytes:
        """The environments have another certificate from now on; returns it."""
        pair = authority.issue("next-airflow")
        self._airflow_tls.load_cert_chain(pair.cert, pair.key)
        return pair.cert.read_bytes()

    def _make_cluster(self, members: int, arguments: Sequence[str]) -> Cluster:
        def make(*args: Any, **options: Any) -> TlsMember:
            member = TlsMember(*args, **options)
            member.tls = self.files
            return member

        return Cluster(self.directory / "etcd", members, arguments=arguments, make=make)

    def _etcd_settings(self, who: str, endpoints: list[str]) -> EtcdSettings:
        cert, key = self.certificate_of(who)
        return EtcdSettings(endpoints=endpoints, timeout=ETCD_TIMEOUT, ca_cert=self.files.ca, cert=cert, key=key)

    def _make_airflow(self, name: str) -> WitnessedAirflow:
        return WitnessedAirflow(name, self._saw_airflow, tls=self._airflow_tls)

    def _environment(self, url: str, airflow: WitnessedAirflow) -> AirflowSettings:
        return super()._environment(url, airflow).model_copy(update={"ca_cert": self.airflow_ca})


def shown_by(port: int, client: tuple[Path, Path] | None = None) -> int:
    """The serial number of the certificate that a server on 127.0.0.1 shows now.

    :param client: what to show it, without which etcd would end this before it could be asked.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if client is not None:
        context.load_cert_chain(*client)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line, context.wrap_socket(line) as tls:
        shown = tls.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def serial_number(certificate: bytes) -> int:
    """Of a certificate in PEM."""
    return x509.load_pem_x509_certificate(certificate).serial_number
