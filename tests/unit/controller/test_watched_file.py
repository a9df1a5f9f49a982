"""What is said of a dependencies file that names an environment which the watcher does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.controller.leading.watched_file import WatchedFile


@pytest.mark.parametrize(
    ("text", "restart"),
    [('{"A": "eu/R"}', True), ('{"A": "R", "B": {"upstream": "eu/R"}}', True), ('{"A": 17}', False)],
)
def test_an_environment_may_have_been_added_since_the_watcher_started(tmp_path: Path, text: str, restart: bool) -> None:
    path = tmp_path / "dependencies.json"
    path.write_text(text, encoding="utf-8")
    file = WatchedFile(path, {"default"})
    file.read()
    assert file.problem is not None
    assert ("if the environment was added since, restart the watcher" in file.problem) == restart
