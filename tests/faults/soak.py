"""``python -m tests.faults.soak``: load without end, with faults without end; and what it costs the processes.

People clear sources at a steady rate and in bursts, while one fault after the other strikes. Every chapter ends in
calm: everything comes to rest, the checkers and the oracle have their say, a wave is counted, and the processes are
measured. One watcher is never killed (it is frozen, cut off, silenced like the others): its memory is what counts.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

import tests.faults.strikes  # noqa: F401 - fills the registry
from coordinator.model.references import Target
from coordinator.model.runstate import State
from tests.faults import administration
from tests.faults.processes import Figures, measure
from tests.faults.registry import FAULTS, Fault, Struck
from tests.faults.stage import Replica, Stage, pause
from tests.faults.workload import Workload
from tests.simulation.history import PromiseBroken
from tests.simulation.oracle import Facts, foresee

CHAPTER = 45.0
"""Seconds of load and faults between two calms."""

STEADY = 1.5
"""Sources that people clear each second."""

BURST_EVERY = (8.0, 20.0)
"""Seconds between two bursts, in which every source is cleared at once; from and to."""

PARTITIONS = 6
SETTLING_IN = 3
"""Chapters until everything that is filled once is full; the first that counts for what grows comes after them."""

ENOUGH = 12
"""Chapters that it takes to say whether something grows."""

MAY_GROW = 1.05
"""What is flat may grow by this factor: the allocator's fragmentation."""


@dataclass
class Log:
    """:ivar strikes: how often each fault struck.

    :ivar newest: the fault that struck last.
    :ivar figures: at the end of each chapter, by process.
    """

    strikes: dict[str, int] = field(default_factory=dict)
    chapters: int = 0
    clears: int = 0
    starts: int = 0
    figures: dict[str, list[Figures]] = field(default_factory=dict)
    newest: str = ""
    broken: str | None = None


class Load(Workload):
    """People who clear sources all the time, from a thread of their own, between :meth:`begin` and :meth:`end`."""

    at_a_time = PARTITIONS

    def __init__(self, stage: Stage, seed: int, log: Log) -> None:
        super().__init__(stage, seed)
        self._log = log
        self._people = random.Random(f"people {seed}")
        self._enough = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        self._by_themselves(True)
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._clear, name="people", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Also what waits to be started by hand goes on."""
        assert self._thread is not None
        self._enough.set()
        self._thread.join(30)

    def end_sources(self) -> None:
        """A strike says so; here they end by themselves."""
        if self._enough.is_set():
            super().end_sources()

    def go_on(self) -> None:
        """There is no end of it while people go on."""
        pause(self.dice.uniform(2.0, 6.0))

    def calm(self) -> None:
        """From now on sources wait to be started and ended."""
        self._by_themselves(False)

    def _by_themselves(self, they_do: bool) -> None:
        for source in self.graph.sources:
            self._declare(source, takes=0.1 if they_do else None)

    def _clear(self) -> None:
        sources = list(self._sources())
        burst_at = time.monotonic() + self._people.uniform(*BURST_EVERY)
        while not self._enough.wait(self._people.expovariate(STEADY)):
            chosen = [self._people.choice(sources)]
            if time.monotonic() >= burst_at:
                chosen, burst_at = sources, time.monotonic() + self._people.uniform(*BURST_EVERY)
            for source in chosen:
                self._clear_one(source)

    def _clear_one(self, source: Target) -> None:
        if self._newest(source).state.is_terminal:
            self._airflow(source).clear_by_hand(source.pipeline.dag_id, self._newest(source).run_id)
            self._log.clears += 1


def soak(*, minutes: float, seed: int, directory: Path, say: Console) -> Log:
    """Go on for so long. What breaks is in the log."""
    log, until = Log(), time.monotonic() + minutes * 60
    faults = [fault for fault in FAULTS.values() if fault.in_soak]
    try:
        with Stage(directory, members=3, watchers=3, behind=12.0) as stage:
            load = Load(stage, seed, log)
            spared = stage.replicas[0]
            _calm_wave(stage, load)
            while time.monotonic() < until:
                _chapter(stage, load, faults, spared, log)
                log.chapters += 1
                log.starts = load.starts
                for name, figures in measure(stage).items():
                    log.figures.setdefault(name, []).append(figures)
                say.print(_line(log, spared, until), markup=False)
    except (Exception, PromiseBroken) as error:  # noqa: BLE001 - told like a broken promise, with the figures so far
        log.broken = f"{type(error).__name__}: {error} (after {log.newest!r})"
    return log


def _chapter(stage: Stage, load: Load, faults: list[Fault], spared: Replica, log: Log) -> None:
    until = time.monotonic() + CHAPTER
    load.begin()
    try:
        while time.monotonic() < until:
            fault = load.dice.choice(faults)
            if _would_kill(fault, stage, spared):
                continue
            log.newest = fault.name
            fault.strike(Struck(stage, load))
            stage.await_health()
            log.strikes[fault.name] = log.strikes.get(fault.name, 0) + 1
    finally:
        load.end()
    stage.await_rest()
    _check_rest(stage)
    load.starts += sum((stage.history.requests - load.requests_before).values())
    load.begin_anew()
    load.calm()
    _calm_wave(stage, load)
    administration.compact(stage.cluster.leader(), stage.witness.revision)


def _would_kill(fault: Fault, stage: Stage, spared: Replica) -> bool:
    if "kill" not in fault.name or fault.group != "watchers":
        return False
    return (stage.leader() if fault.name.startswith("leader") else stage.standby()) is spared


def _check_rest(stage: Stage) -> None:
    """People cleared while others ran, so nobody can say how often each was to run; but now nothing may be due."""
    due = foresee(
        stage.history.wiring,
        Facts.of(stage.history),
        outcome=lambda _: State.SUCCESS.value,
        is_newest=lambda _: True,
    ).starts
    if due:
        raise PromiseBroken("nothing is lost", f"at rest, and yet due: {sorted(map(str, due))}")


def _calm_wave(stage: Stage, load: Load) -> None:
    stage.await_health()
    load.begin_wave(everything=True)
    Workload.end_sources(load)
    load.count()


def _line(log: Log, spared: Replica, until: float) -> str:
    figures = log.figures[spared.name][-1]
    return (
        f"chapter {log.chapters}: {sum(log.strikes.values())} strikes, {log.clears} clears, {log.starts} starts; "
        f"{spared.name}: {figures.memory / 2**20:.1f} MiB, {figures.descriptors} descriptors, "
        f"{figures.threads} threads; "
        f"{max(0.0, until - time.monotonic()) / 60:.1f} min left"
    )


def grown(figures: list[Figures]) -> dict[str, tuple[float, float]]:
    """Of each figure, its median in the first third of the chapters that count, and in the last third."""
    counted = figures[SETTLING_IN:] or figures
    third = max(1, len(counted) // 3)
    return {
        name: (
            statistics.median(getattr(one, name) for one in counted[:third]),
            statistics.median(getattr(one, name) for one in counted[-third:]),
        )
        for name in ("memory", "descriptors", "threads")
    }


def is_flat(figures: list[Figures]) -> bool:
    """Whether nothing grows."""
    return all(last <= max(first * MAY_GROW, first + 2) for first, last in grown(figures).values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="everything as JSON")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    say = Console(stderr=options.json)
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    log = soak(minutes=options.minutes, seed=options.seed, directory=directory, say=say)
    if log.broken is None:
        shutil.rmtree(directory)
    else:
        say.print(f"what the processes left behind, with their logs: {directory}", markup=False)
    if options.json:
        print(json.dumps(_as_json(log), indent=2))
    else:
        say.print(_table(log))
        for name, count in sorted(log.strikes.items()):
            say.print(f"  {count:4} x {name}", markup=False)
    flat = all(is_flat(figures) for name, figures in log.figures.items() if _lived_through(name, log))
    says = "memory, descriptors and threads are flat" if flat else "it GROWS"
    if log.chapters < ENOUGH:
        flat, says = True, f"{log.chapters} chapters are too few to say whether anything grows"
    verdict = log.broken or f"all promises held; {says}"
    say.print(
        f"{log.chapters} chapters, {sum(log.strikes.values())} strikes, {log.clears} clears by people, "
        f"{log.starts} runs started: {verdict}",
        markup=False,
    )
    return 0 if flat and log.broken is None else 1


def _lived_through(name: str, log: Log) -> bool:
    """Only what was there from the beginning to the end can be said to have grown."""
    return len({one.pid for one in log.figures[name]}) == 1


def _table(log: Log) -> Table:
    table = Table("process", "MiB", "descriptors", "threads", title="first and last third of the chapters, medians")
    for name, figures in log.figures.items():
        of = grown(figures)
        killed = len({one.pid for one in figures}) - 1
        table.add_row(
            name if not killed else f"{name} (killed and started again {killed} times)",
            " -> ".join(f"{value / 2**20:.1f}" for value in of["memory"]),
            " -> ".join(f"{value:.0f}" for value in of["descriptors"]),
            " -> ".join(f"{value:.0f}" for value in of["threads"]),
        )
    return table


def _as_json(log: Log) -> dict[str, Any]:
    return asdict(log)


if __name__ == "__main__":
    sys.exit(main())
