"""A drill: a stage is built, a calm wave shows that it is sound, a fault strikes in the middle of waves, and a calm
wave shows that it is sound again."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from tests.faults.registry import FAULTS, Fault, Struck
from tests.faults.stage import Stage
from tests.faults.workload import Workload
from tests.simulation.history import PromiseBroken


@dataclass(frozen=True, slots=True)
class Survived:
    """The result of a drill.

    :ivar strikes: so often the fault struck, and everything held.
    :ivar starts: so many runs were started, each once per wave.
    :ivar broken: what did not hold; ``None``: everything did.
    :ivar notes: what was measured.
    """

    fault: str
    seed: int
    strikes: int
    starts: int
    seconds: float
    broken: str | None
    notes: tuple[str, ...] = ()


def drill(fault: Fault, *, seed: int, times: int, directory: Path, sabotage: str | None = None) -> Survived:
    """Let a fault strike so many times.

    :param sabotage: what is broken in the watchers, so that the drill must fail: one of :mod:`tests.faults.sabotage`.
    """
    began, strikes, starts = time.monotonic(), 0, 0
    broken: str | None = None
    notes: list[str] = []
    workload: Workload | None = None
    try:
        with fault.kind(directory, **fault.stage, sabotage=sabotage) as stage:
            workload = fault.workload(stage, seed)
            _calm_wave(stage, workload)
            for _ in range(min(times, fault.at_most or times)):
                if fault.first:
                    workload.take_fresh_partitions()
                workload.begin_wave()
                fault.strike(Struck(stage, workload, notes))
                workload.count()
                stage.await_health()
                strikes += 1
            _calm_wave(stage, workload)
    except (Exception, PromiseBroken) as error:  # noqa: BLE001 - reported like a broken promise: the other drills go on
        broken = f"{type(error).__name__}: {error}"
    if workload is not None:
        starts = workload.starts
    return Survived(fault.name, seed, strikes, starts, time.monotonic() - began, broken, tuple(notes))


def drill_by_name(name: str, seed: int, times: int) -> Survived:
    """For a process of its own: it is quiet, and leaves nothing behind."""
    import tests.faults.strikes  # noqa: F401 - fills the registry, which this module's importers may not want

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory(prefix="drill-") as directory:
        return drill(FAULTS[name], seed=seed, times=times, directory=Path(directory))


def _calm_wave(stage: Stage, workload: Workload) -> None:
    stage.await_health()
    workload.begin_wave()
    workload.end_sources()
    workload.count()
