"""All fuzz targets, side by side, and a table: ``python -m tests.fuzz --minutes 10 [--jobs 2] [--target keys]``.

The time is shared out evenly. What was learned is kept under ``build/fuzz/``, and the next call goes on from there.
An input that broke something is named at the end: give it a name that says what it did, and move it to
``tests/fuzz/found/<target>/``, where it is played in every run of the tests from then on.

Exit code 1 if anything broke.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.registry import TARGETS
from tests.fuzz.target import SECONDS, Target

WORK = Path("build/fuzz")
RESTARTS = 5
"""A target that breaks is started again, so many times."""


@dataclass
class Fuzzed:
    """What became of a target."""

    name: str
    executions: int = 0
    seconds: float = 0.0
    coverage: int = 0
    corpus: int = 0
    megabytes: int = 0
    findings: list[Path] = field(default_factory=list)
    failure: str = ""


def main() -> int:
    """Returns the exit code."""
    options = _options()
    targets = [TARGETS[name] for name in options.target] if options.target else list(TARGETS.values())
    each = max(5, round(options.minutes * 60 * min(options.jobs, len(targets)) / len(targets)))
    print(f"{len(targets)} targets, {each} s each, {options.jobs} at a time", flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        done = list(pool.map(lambda target: _fuzz(target, each), targets))
    _print(done)
    return 1 if any(one.findings or one.failure for one in done) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="in all (10)")
    parser.add_argument("--jobs", type=int, default=2, choices=(1, 2), help="processes at a time (2)")
    parser.add_argument("--target", action="append", choices=[*TARGETS], help="only this one; may be repeated")
    return parser.parse_args()


def _fuzz(target: Target, seconds: int) -> Fuzzed:
    fuzzed = Fuzzed(target.name)
    findings = WORK / f"{target.name}.findings"
    known = set(findings.glob("*"))
    until = time.monotonic() + seconds
    for _ in range(1 + RESTARTS):
        left = round(until - time.monotonic())
        if left < 1:
            break
        began = time.monotonic()
        command = [sys.executable, "-m", "tests.fuzz.worker", target.name, "--work", str(WORK), "--seconds", str(left)]
        limit = left + 60 + 2 * SECONDS
        try:
            ended = subprocess.run(command, capture_output=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired as error:  # told like any other failure: the other targets go on
            fuzzed.failure = (
                f"it was to end after {left} s, and had not after {limit} s:\n{(error.stderr or b'')[-2000:]!r}"
            )
            break
        fuzzed.seconds += time.monotonic() - began
        _read(ended.stderr.decode("utf-8", "replace"), fuzzed)
        new = sorted(set(findings.glob("*")) - known)
        known.update(new)
        fuzzed.findings += new
        for finding in new:
            (finding.parent.parent / f"{target.name}.{finding.name}.log").write_bytes(ended.stdout + ended.stderr)
        if ended.returncode == 0:
            break
        if not new:
            fuzzed.failure = (ended.stdout + ended.stderr).decode("utf-8", "replace")[-2000:]
            break
    print(f"{target.name}: {fuzzed.executions} executions, {len(fuzzed.findings)} findings", flush=True)
    return fuzzed


def _read(output: str, fuzzed: Fuzzed) -> None:
    """Take in libFuzzer's own figures."""
    executed = re.findall(r"number_of_executed_units:\s*(\d+)", output) or re.findall(
        r"^#(\d+)\t", output, re.MULTILINE
    )
    fuzzed.executions += int(executed[-1]) if executed else 0
    if seen := re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)", output):
        fuzzed.coverage, fuzzed.corpus = map(int, seen[-1])
    if peak := re.findall(r"peak_rss_mb:\s*(\d+)", output):
        fuzzed.megabytes = max(fuzzed.megabytes, int(peak[-1]))


def _print(done: list[Fuzzed]) -> None:
    print("\n| target | executions | seconds | coverage | corpus | MiB at most | findings |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for one in done:
        print(
            f"| {one.name} | {one.executions:,} | {one.seconds:.0f} | {one.coverage} | {one.corpus} | {one.megabytes} "
            f"| {len(one.findings)} |"
        )
    total = sum(one.executions for one in done)
    print(
        f"| all | {total:,} | {sum(one.seconds for one in done):.0f} | | | | {sum(len(one.findings) for one in done)} |"
    )
    for one in done:
        for finding in one.findings:
            print(f"{one.name}: broken by {finding}; see {WORK / one.name}.{finding.name}.log")
        if one.failure:
            print(f"{one.name}: did not run:\n{one.failure}")


if __name__ == "__main__":
    sys.exit(main())
