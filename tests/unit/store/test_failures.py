"""What gRPC says of an etcd that is away becomes one line: what was tried, for how long, and what to do."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from coordinator.store.failures import never_sent, translate
from coordinator.store.port import AnswerTooLarge, StoreUnavailable, TransactionTooLarge


class Failed(Exception):
    """An error of gRPC."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self._code, self._details = SimpleNamespace(name=code), details

    def code(self) -> SimpleNamespace:
        return self._code

    def details(self) -> str:
        return self._details


REFUSED = (
    "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:9: Failed to connect to remote host: "
    "Connection refused"
)
UNKNOWN_NAME = (
    "errors resolving etcd:2379: [field:hostname lookup error:address lookup failed for etcd:2379: "
    "Domain name not found]"
)


@pytest.mark.parametrize(
    ("details", "reason"), [(REFUSED, "Connection refused"), (UNKNOWN_NAME, "Domain name not found")]
)
def test_an_etcd_that_cannot_be_reached_is_said_in_one_line(details: str, reason: str) -> None:
    failed = Failed("UNAVAILABLE", details)
    error = translate(failed, doing="reading /c/leader", endpoint="etcd:2379", within=5.0)
    assert isinstance(error, StoreUnavailable)
    assert str(error) == (
        f"etcd etcd:2379, reading /c/leader: cannot be reached ({reason}); nothing was sent; check that etcd runs and "
        "etcd.endpoints is right"
    )
    assert never_sent(failed)


def test_an_etcd_that_does_not_answer_is_said_with_the_time_that_was_waited() -> None:
    failed = Failed("DEADLINE_EXCEEDED", "Deadline Exceeded")
    error = translate(failed, doing="a transaction on /c/leader", endpoint="etcd:2379", within=5.0)
    assert str(error) == (
        "etcd etcd:2379, a transaction on /c/leader: no answer within 5 s; a write may or may not have been applied"
    )
    assert not never_sent(failed)


def test_an_answer_that_is_too_large_is_not_taken_for_a_request_that_is() -> None:
    too_large = Failed("RESOURCE_EXHAUSTED", "CLIENT: Received message larger than max (9000000 vs. 8388608)")
    error = translate(too_large, doing="listing /c/", endpoint="etcd:2379")
    assert isinstance(error, AnswerTooLarge)
    assert error.size == 9_000_000
    of_server = Failed("RESOURCE_EXHAUSTED", "grpc: received message larger than max (9000000 vs. 2097152)")
    assert isinstance(translate(of_server, doing="a put", endpoint="etcd:2379"), TransactionTooLarge)
