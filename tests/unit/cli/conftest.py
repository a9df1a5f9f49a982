from tests.command_line import cli  # noqa: F401 - a fixture
