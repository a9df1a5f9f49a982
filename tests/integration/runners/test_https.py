"""Over TLS: certificates are checked, and the deadline holds there too."""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from coordinator.runners.port import EnvironmentUnavailable, Happened
from coordinator.runners.testing import create
from tests.certificates import Authority
from tests.integration.runners.conftest import MakeRunner
from tests.standin.airflow import StandInAirflow
from tests.standin.faults import Fault


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1, signed by itself, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@pytest.fixture
def airflow(certificate: Path) -> Iterator[StandInAirflow]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with StandInAirflow(tls=context) as airflow:
        airflow.dag("slow")
        yield airflow


def test_a_certificate_that_is_configured_is_believed(
    airflow: StandInAirflow, make_runner: MakeRunner, certificate: Path
) -> None:
    runner = make_runner(airflow.base_url, ca_cert=str(certificate))
    for _ in range(3):
        assert isinstance(runner.start(create("slow")), Happened)
    assert airflow.connections == 1


def test_a_bundle_that_the_environment_names_is_believed(
    airflow: StandInAirflow, make_runner: MakeRunner, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As everything that is made of requests does; companies rely on it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert isinstance(make_runner(airflow.base_url).start(create("slow")), Happened)


@pytest.mark.promise("rotation")
def test_another_authority_in_the_file_is_believed_from_the_next_connection_on_and_the_old_one_no_more(
    airflow: StandInAirflow, make_runner: MakeRunner, certificate: Path, tmp_path: Path
) -> None:
    believed, successor = tmp_path / "believed.pem", Authority(tmp_path, "successor")
    believed.write_bytes(certificate.read_bytes())
    runner = make_runner(airflow.base_url, ca_cert=str(believed))
    assert isinstance(runner.start(create("slow")), Happened)
    believed.write_bytes(successor.cert.read_bytes())
    airflow.down()
    airflow.up()
    with pytest.raises(EnvironmentUnavailable, match=r"(?i)certificate"):
        runner.start(create("slow"))
    believed.write_bytes(certificate.read_bytes())
    assert isinstance(runner.start(create("slow")), Happened)


def test_any_other_certificate_is_not(
    airflow: StandInAirflow, make_runner: MakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with pytest.raises(EnvironmentUnavailable, match=r"(?i)certificate"):
        make_runner(airflow.base_url).start(create("slow"))
    assert airflow.requests == []


@pytest.mark.parametrize("fault", [Fault.delay(30), Fault.drip_answer(0.1)], ids=["no answer", "byte by byte"])
def test_the_deadline_holds_over_tls(
    airflow: StandInAirflow, make_runner: MakeRunner, certificate: Path, fault: Fault
) -> None:
    runner = make_runner(airflow.base_url, ca_cert=str(certificate), request_timeout=1.0)
    assert isinstance(runner.start(create("slow")), Happened)
    airflow.faults.next("trigger", fault)
    begun = time.monotonic()
    with pytest.raises(EnvironmentUnavailable, match="timed out after 1 s"):
        runner.start(create("slow"))
    assert time.monotonic() - begun < 2


def test_a_file_of_certificates_that_is_not_there_is_named(make_runner: MakeRunner, tmp_path: Path) -> None:
    with pytest.raises(EnvironmentUnavailable, match=r"nowhere\.pem"):
        make_runner("https://127.0.0.1:1", ca_cert=tmp_path / "nowhere.pem").start(create("slow"))
