"""What the end-to-end tests need and a machine may not have: its absence is said, and in CI it is a failure."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

VARIABLE = "COORDINATOR_TESTS_REQUIRE_ALL"
"""``.ci/run`` sets it."""


def required(what: str, remedy: str) -> NoReturn:
    """End a test, or a fixture, for which something is not there.

    In CI (``CI=true``, or ``COORDINATOR_TESTS_REQUIRE_ALL`` is set) the test fails, elsewhere it is skipped.
    """
    message = f"{what} is not here, and nothing on it is tested; install {remedy}"
    if os.environ.get("CI", "").lower() == "true" or os.environ.get(VARIABLE):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
