"""Credentials that would cross a network in the clear are warned of."""

from __future__ import annotations

import pytest

from coordinator.config.airflow import AirflowSettings
from coordinator.config.etcd import EtcdSettings
from coordinator.config.insecure import insecure_settings
from coordinator.config.settings import Settings
from coordinator.config.ui import UiSettings


def in_words(settings: Settings) -> list[str]:
    return [f"{one.found}; {one.remedy}" for one in insecure_settings(settings)]


def of_airflow(url: str) -> list[str]:
    return in_words(Settings(environments={"sales": AirflowSettings(url=url)}))


def of_etcd(*endpoints: str, **settings: object) -> list[str]:
    etcd = EtcdSettings.model_validate({"endpoints": list(endpoints), **settings})
    return in_words(Settings(etcd=etcd))


@pytest.mark.parametrize(
    "url", ["http://airflow.example", "http://10.0.0.1:8080", "http://[fd00::1]:8080", "http://127.0.0.1.example"]
)
def test_an_airflow_elsewhere_without_tls_is_named(url: str) -> None:
    (warning,) = of_airflow(url)
    assert warning.startswith(f"environments.sales.url: {url} ")
    assert "use https" in warning


@pytest.mark.parametrize(
    "url",
    [
        "https://airflow.example",
        "http://127.0.0.1:8080",
        "http://127.8.0.1",
        "http://localhost:8080",
        "http://[::1]:8080",
    ],
)
def test_tls_or_this_machine_is_fine_for_an_airflow(url: str) -> None:
    assert of_airflow(url) == []


def test_a_password_of_etcd_without_tls_is_named() -> None:
    (warning,) = of_etcd("127.0.0.1:2379", "etcd-1.example:2379", "[fd00::1]:2379", username="watcher")
    assert "etcd-1.example:2379, [fd00::1]:2379" in warning
    assert "127.0.0.1" not in warning
    assert "etcd.ca_cert" in warning


def test_tls_or_this_machine_or_no_password_is_fine_for_etcd() -> None:
    assert of_etcd("etcd.example:2379", username="watcher", ca_cert="/ca.pem") == []
    assert of_etcd("localhost:2379", "[::1]:2379", username="watcher") == []
    assert of_etcd("etcd.example:2379") == []


def of_ui(**settings: object) -> list[str]:
    return in_words(Settings(ui=UiSettings.model_validate(settings)))


@pytest.mark.parametrize("listen", ["0.0.0.0:8610", "[::]:8610", "10.0.0.1:80", "host.example:8610"])
def test_a_page_for_others_without_tls_is_named(listen: str) -> None:
    (warning,) = of_ui(listen=listen)
    assert warning.startswith(f"ui.listen: {listen} is not encrypted")
    assert "ui.cert" in warning


def test_tls_or_this_machine_is_fine_for_the_page() -> None:
    assert of_ui() == of_ui(listen=8610) == of_ui(listen="localhost:8610") == of_ui(listen="[::1]:8610") == []
    assert of_ui(listen="0.0.0.0:8610", cert="/c.pem", key="/k.pem") == []
