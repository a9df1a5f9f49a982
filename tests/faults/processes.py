"""What a process holds: memory, file descriptors, threads; as Linux says."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.stage import Stage


@dataclass(frozen=True, slots=True)
class Figures:
    """:ivar memory: resident, in bytes."""

    pid: int
    memory: int
    descriptors: int
    threads: int


def figures_of(pid: int) -> Figures:
    """:raises ProcessLookupError: it has gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    return Figures(pid, _field(status, "VmRSS") * 1024, descriptors, _field(status, "Threads"))


def peak_memory_of(pid: int) -> int:
    """The most that it has ever been resident, in bytes."""
    return _field(Path(f"/proc/{pid}/status").read_text(), "VmHWM") * 1024


def measure(stage: Stage) -> dict[str, Figures]:
    """Every watcher and sender that runs."""
    found = {replica.name: figures_of(replica.service.process.pid) for replica in stage.replicas}
    for environment in stage.airflows:
        process = stage.sender_process(environment)
        if process is not None and process.poll() is None:
            found[f"sender of {environment}"] = figures_of(process.pid)
    return found


def _field(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    assert found is not None, f"no {name} in:\n{status}"
    return int(found.group(1))
