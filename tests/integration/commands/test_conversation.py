"""The runner of commands has the conversations that every runner has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coordinator.runners.command.runner import CommandRunner
from coordinator.runners.testing import Playground, RunnerConversations
from tests.integration.commands.playground import Commands

pytestmark = pytest.mark.promise("commands")


class TestCommands(RunnerConversations):
    @pytest.fixture
    def playground(self, commands: Commands) -> Iterator[Playground]:
        def make() -> CommandRunner:
            return CommandRunner("jobs", commands.settings(request_timeout=30))

        runner = make()
        yield Playground(runner, another=make, quick="quick", slow="slow", failing="failing")
        runner.close()
