"""``python -m tests.faults.noticing``: how many strikes it takes until drills notice what is broken in the watchers."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

import tests.faults.strikes  # noqa: F401 - fills the registry
from tests.faults.drill import drill
from tests.faults.registry import FAULTS
from tests.faults.sabotage import SABOTAGES

PATIENCE = 12.0
"""Seconds after which something counts as lost: a sabotaged watcher need not be waited for as long as a sound one."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """:ivar strikes: so many it took; ``None``: it was not noticed.

    :ivar how: what did not hold.
    """

    sabotage: str
    strikes: int | None
    how: str = ""


def notice(name: str, *, limit: int, directory: Path, first: int = 1) -> Noticed:
    """Strike sabotaged watchers until something does not hold.

    :param limit: so many strikes at most, a seed each.
    :param first: of the seeds.
    :raises AssertionError: the patch does not fit what it breaks any more.
    """
    fault = FAULTS[SABOTAGES[name].fault]
    impatient = replace(fault, stage={**fault.stage, "patience": PATIENCE})
    for strikes in range(1, limit + 1):
        place = directory / str(strikes)
        place.mkdir()
        survived = drill(impatient, seed=first + strikes - 1, times=1, directory=place, sabotage=name)
        for log in place.glob("watcher-*.log"):
            assert "Traceback" not in (said := log.read_text()), f"{name} does not break what it is to break:\n{said}"
        if survived.broken is not None:
            assert survived.broken.startswith(("AssertionError", "PromiseBroken")), survived.broken
            return Noticed(name, strikes, survived.broken)
    return Noticed(name, None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.noticing", description=__doc__)
    parser.add_argument("sabotages", nargs="*", metavar="NAME", help=f"one of {', '.join(SABOTAGES)} (all)")
    parser.add_argument("--limit", type=int, default=10, help="strikes for each at most (%(default)s)")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    escaped = 0
    for name in options.sabotages or SABOTAGES:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="sabotage-") as directory:
            noticed = notice(name, limit=options.limit, directory=Path(directory))
        escaped += noticed.strikes is None
        took = f"{time.monotonic() - began:5.1f} s"
        print(f"{name:<35} {noticed.strikes or 'escaped':>8}  {took}  {noticed.how[:150]}", flush=True)
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
