"""Play seeds, or one again.

    python -m tests.simulation --seeds 10000 [--first 0] [--jobs 2]
    python -m tests.simulation --seed 4711            the story of one seed; cut down first, if it fails
    python -m tests.simulation --replay plan.json     the story of a plan

A seed that fails is cut down to what still fails, told as a story, and its plan is kept for --replay. Where that
showed a defect, the plan goes to ``found/``, under the name of what holds from then on.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import structlog

from tests.simulation.coverage import coverage_of, table
from tests.simulation.drawing import draw
from tests.simulation.plan import Plan
from tests.simulation.playing import Outcome, play
from tests.simulation.shrinking import shrink

COMMAND = "python -m tests.simulation"
CHUNK = 10
SEVERAL = 5
"""So many seeds that fail are told before it ends."""


@dataclass(frozen=True)
class Played:
    """What became of some seeds."""

    seeds: int
    counts: Counter[str]
    broken: tuple[tuple[int, str], ...]


def main() -> int:
    """Returns the exit code: 0, or 1 if a promise was broken."""
    options = _options()
    _same_hashes()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if options.replay is not None:
        return _tell(play(Plan.from_json(options.replay.read_text())), kept=options.replay)
    if options.seed is not None:
        outcome = play(draw(options.seed))
        return _tell(outcome if outcome.broken is None or options.whole else _cut_down(outcome), keep=options.keep)
    # Seeds that have been played show nothing new.
    first = random.SystemRandom().randrange(1_000_000_000) if options.first is None else options.first
    return _play_many(first, options.seeds, options.jobs)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, help="the first one; without it, one is drawn")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, help="play this one, and tell its story")
    parser.add_argument("--whole", action="store_true", help="with --seed: do not cut it down")
    parser.add_argument("--keep", type=Path, help="with --seed: write the plan there")
    parser.add_argument("--replay", type=Path, help="play a plan, and tell its story")
    return parser.parse_args()


def _same_hashes() -> None:
    """The same seed must give the same play: the order in which sets are gone through hangs on the hash seed."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )


def _play_many(first: int, seeds: int, jobs: int) -> int:
    began, counts = time.monotonic(), Counter[str]()
    broken: list[tuple[int, str]] = []
    played = 0
    chunks = [range(at, min(at + CHUNK, first + seeds)) for at in range(first, first + seeds, CHUNK)]
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for part in pool.imap_unordered(_play_chunk, chunks):
            played += part.seeds
            counts += part.counts
            broken += part.broken
            _show_progress(played, seeds, time.monotonic() - began, len(broken))
            if len(broken) >= SEVERAL:
                break
        pool.terminate()
    seconds = time.monotonic() - began
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(table(counts))
    for seed, what in sorted(broken):
        print(f"seed {seed}: {what}\n  tell it: {COMMAND} --seed {seed}")
    verdict = f"{len(broken)} of them broken" if broken else "all promises held"
    pace = f"{seconds:.0f} s, {played / seconds:.0f} seeds/s with {jobs} processes"
    print(f"{played} seeds in {pace}, the first {first}: {verdict}")
    return 1 if broken else 0


def _play_chunk(seeds: range) -> Played:
    counts, broken = Counter[str](), []
    for seed in seeds:
        outcome = play(draw(seed))
        counts += coverage_of(outcome)
        if outcome.broken is not None:
            broken.append((seed, str(outcome.broken)))
    return Played(len(seeds), counts, tuple(broken))


def _cut_down(outcome: Outcome) -> Outcome:
    assert outcome.broken is not None
    promise = outcome.broken.promise

    def breaks(plan: Plan) -> bool:
        broken = play(plan).broken
        return broken is not None and broken.promise == promise

    return play(shrink(outcome.plan, breaks))


def _tell(outcome: Outcome, *, keep: Path | None = None, kept: Path | None = None) -> int:
    print(outcome.story)
    if outcome.broken is None:
        return 0
    if outcome.broken.__cause__ is not None:
        traceback.print_exception(outcome.broken.__cause__)
    path = kept or keep or Path(tempfile.gettempdir()) / f"simulation-{outcome.plan.seed}.json"
    if kept is None:
        path.write_text(outcome.plan.to_json())
    print(f"replay it: {COMMAND} --replay {path}")
    return 1


def _show_progress(played: int, seeds: int, seconds: float, broken: int) -> None:
    line = f"{played}/{seeds} seeds, {played / max(seconds, 0.001):.0f}/s, {broken} broken"
    if sys.stderr.isatty():
        print(f"\r{line} ", end="", file=sys.stderr, flush=True)
    elif played % 100 == 0:
        print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
