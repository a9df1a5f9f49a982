"""The dependency document as values: what ``dependencies.json`` says once it has been read and checked."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coordinator.model.conditions import Condition
from coordinator.model.references import PipelineRef


class Rerun(enum.StrEnum):
    """What becomes of a pipeline that is due again in a partition in which it has been started before.

    ``clear``    its run there is cleared: run_id and logical date stay
    ``new_run``  another run is created, without a logical date, for Airflow allows one run per logical date
    ``ignore``   nothing: the completions are consumed without running, and it counts as settled
    """

    CLEAR = "clear"
    NEW_RUN = "new_run"
    IGNORE = "ignore"


class Settle(enum.StrEnum):
    """Whether an input must be at rest (``wave``) or only met (``direct``) to count."""

    WAVE = "wave"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Downstream:
    """One entry of the document: a pipeline and what it waits for.

    :ivar conf: merged into the conf of the runs that the coordinator creates.
    """

    pipeline: PipelineRef
    condition: Condition
    rerun: Rerun = Rerun.CLEAR
    settle: Settle = Settle.WAVE
    conf: Mapping[str, Any] = field(default_factory=dict)


Document = Mapping[PipelineRef, Downstream]
