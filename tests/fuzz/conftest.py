"""What the targets log is not what is tested here; and no variable of this machine configures them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True, scope="package")
def _quiet() -> Iterator[None]:
    variables = {name: value for name, value in os.environ.items() if name.startswith("COORDINATOR_")}
    for name in variables:
        del os.environ[name]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()
    os.environ.update(variables)
