"""A mistake in the arguments of a sensor is told when the DAG is read, with the task and the nearest word."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.airflow_provider import PipelineSensor


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"on": "sucess"},
            "sensor s: on='sucess': expected success, failure, done or skipped (did you mean 'success'?)",
        ),
        ({"on": "x"}, "sensor s: on='x': expected success, failure, done or skipped"),
        ({"on": "skipped"}, "sensor s: on='skipped': only a task can be skipped; expected task=..."),
        ({"rerun": "clean"}, "sensor s: rerun='clean': expected ignore or clear (did you mean 'clear'?)"),
    ],
)
def test_a_mistake_is_told_with_its_task(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the whole message is compared
        PipelineSensor(task_id="s", pipeline="U", **given)
    assert str(error.value) == said
