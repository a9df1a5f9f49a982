"""What a look at a sensor's own task says of its wait: whether the sensor still waits. Pure."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import NamedTuple

from coordinator.model.references import WaitRef
from coordinator.model.taskstate import TaskInstance
from coordinator.model.waits import Wait, WaitStatus


class WaitVerdict(enum.Enum):
    """What becomes of a wait.

    ``keep``       the sensor still waits, or has passed as its wait says
    ``ask_again``  the look may be older than the wait, and show the instance before it
    ``remove``     the sensor has ended, or was cleared
    """

    KEEP = "keep"
    ASK_AGAIN = "ask again"
    REMOVE = "remove"


class Refuse(NamedTuple):
    """The wait is to be refused. :ivar reason: for people."""

    reason: str


def assess_wait(
    wait: Wait,
    ref: WaitRef,
    instances: Iterable[TaskInstance],
    *,
    may_be_older: bool,
    removed_before: bool,
) -> WaitVerdict | Refuse:
    """What becomes of a wait that is not refused.

    A sensor that waits writes its wait again when it is removed. Where its task is not there again, it names the wrong
    environment for itself, and would write it for ever.

    :param ref: whose wait it is.
    :param instances: of the sensor's task, as the look has shown them.
    :param may_be_older: the look was sent before the wait was known as it is.
    :param removed_before: it was removed before, and has come again.
    """
    found = tuple(instances)
    is_valid = _waits_still if wait.status is WaitStatus.WAITING else _has_passed_as_it_says
    if any(one.map_index == ref.map_index and is_valid(one, wait) for one in found):
        return WaitVerdict.KEEP
    if may_be_older:
        return WaitVerdict.ASK_AGAIN
    if not found and removed_before:
        return Refuse(
            f"environment {ref.run.pipeline.environment!r} has no such task in a run {ref.run_id}: correct the "
            "sensor's own 'environment', in its Airflow connection or its configuration, then clear the task"
        )
    return WaitVerdict.REMOVE


def _waits_still(one: TaskInstance, wait: Wait) -> bool:
    is_another = one.id is not None and wait.task_instance and one.id != wait.task_instance
    return not one.has_ended and not is_another


def _has_passed_as_it_says(one: TaskInstance, wait: Wait) -> bool:
    """Whether the sensor has not been cleared, or ended otherwise, since its wait passed. It may have to go on yet."""
    if one.has_ended and one.state != "success":
        return False
    if one.id is not None:
        return not wait.task_instance or one.id == wait.task_instance
    return wait.try_number in (0, one.try_number)
