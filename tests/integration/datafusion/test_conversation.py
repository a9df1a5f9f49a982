"""The runner of Data Fusion has the conversations that every runner has."""

from __future__ import annotations

import pytest

from coordinator.runners.testing import Playground, RunnerConversations
from tests.integration.datafusion.conftest import MakeRunner

pytestmark = pytest.mark.promise("datafusion")


class TestDataFusion(RunnerConversations):
    @pytest.fixture
    def playground(self, make_runner: MakeRunner) -> Playground:
        return Playground(make_runner(), another=make_runner, quick="quick", slow="slow", failing="failing")
