"""The dependency document as values: ``dependencies.json`` after it has been read and checked."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from coordinator.model.conditions import Condition
from coordinator.model.deadline import Deadline
from coordinator.model.references import PipelineRef


class Rerun(enum.StrEnum):
    """What becomes of a pipeline that is due again in a partition in which it has been started before.

    ``clear``    its run there is cleared: run_id and logical date stay
    ``new_run``  another run is created, without a logical date, for Airflow allows one run per logical date
    ``ignore``   nothing: the completions are consumed without running, and it counts as settled
    ``hold``     it waits, stuck, until a person releases it; then its run is cleared
    """

    CLEAR = "clear"
    NEW_RUN = "new_run"
    IGNORE = "ignore"
    HOLD = "hold"


class Settle(enum.StrEnum):
    """Whether an input must be at rest (``wave``) or only met (``direct``) to count."""

    WAVE = "wave"
    DIRECT = "direct"


MOST_RETRIES = 100
"""Retries of one run. More of them are a loop."""


class Catchup(enum.StrEnum):
    """Which partitions of a pipeline are started of those that became due while no watcher was there.

    ``all``     every one
    ``latest``  the newest one; the others are skipped
    ``none``    none: they are skipped
    """

    ALL = "all"
    LATEST = "latest"
    NONE = "none"


class OnLate(enum.StrEnum):
    """What becomes of a partition whose deadline has passed before it was ever started.

    ``show``  it is shown, counted and logged, and goes on waiting
    ``fire``  it is started with the inputs that are there
    ``skip``  it is given up: consumed without running
    """

    SHOW = "show"
    FIRE = "fire"
    SKIP = "skip"


class OnEmpty(enum.StrEnum):
    """What becomes of a partition without any row.

    ``fail``     it has failed
    ``success``  it has succeeded
    ``skip``     nothing: its inputs are consumed, and it has no state
    """

    FAIL = "fail"
    SUCCESS = "success"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Items:
    """A pipeline runs once for each row of its partition, instead of once.

    :ivar key: the member of a row whose value names its item.
    :ivar file: the rows are in this source of files, which the settings name; empty: they are in the conf.
    :ivar conf: the member of the entry's own conf that has the rows; empty: they are in a file.
    """

    key: str
    file: str = ""
    conf: str = ""
    on_empty: OnEmpty = OnEmpty.FAIL


@dataclass(frozen=True, slots=True)
class Downstream:
    """One entry of the document: a pipeline and what it waits for.

    :ivar conf: merged into the conf of the runs that the coordinator creates.
    :ivar max_in_flight: how many of its partitions may be in flight at the same time; ``None``: any number.
    :ivar deadline: when a partition that has not been started is late.
    :ivar retries: how often a run that failed is started again, for each time that it is fired.
    :ivar retry_delay: how long after its end.
    :ivar timeout: how long an attempt may take, from its ``queued_at`` on; ``None``: any time.
    :ivar items: it runs once for each of these rows; ``None``: it runs once.
    """

    pipeline: PipelineRef
    condition: Condition
    rerun: Rerun = Rerun.CLEAR
    settle: Settle = Settle.WAVE
    conf: Mapping[str, Any] = field(default_factory=dict)
    catchup: Catchup = Catchup.ALL
    max_in_flight: int | None = None
    deadline: Deadline | None = None
    on_late: OnLate = OnLate.SHOW
    retries: int = 0
    retry_delay: timedelta = timedelta(0)
    timeout: timedelta | None = None
    items: Items | None = None


Document = Mapping[PipelineRef, Downstream]
