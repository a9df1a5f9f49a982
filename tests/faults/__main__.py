"""``python -m tests.faults``: plays the faults, and prints what was asserted and how often it was survived."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from rich.console import Console
from rich.table import Table

import tests.faults.strikes  # noqa: F401 - fills the registry
from tests.faults.drill import Survived, drill_by_name
from tests.faults.registry import FAULTS, chosen


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Let every fault strike real etcd servers, watchers and lines in the middle of waves.",
        epilog="Example: python -m tests.faults --times 5 'leader: kill' quorum",
    )
    parser.add_argument("faults", nargs="*", metavar="NAME", help="only those whose name contains this")
    parser.add_argument("--times", type=int, default=3, help="so often each strikes (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the graphs and the moments (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="drills at the same time (%(default)s)")
    parser.add_argument("--json", action="store_true", help="the results as JSON")
    parser.add_argument("--markdown", action="store_true", help="the table as docs/evidence.md has it")
    parser.add_argument("--list", action="store_true", help="only say which there are")
    options = parser.parse_args()
    try:
        chosen(options.faults)
    except KeyError as error:
        parser.error(str(error.args[0]))
    console = Console(stderr=options.json or options.markdown)
    if options.list:
        for one in chosen(options.faults):
            print(f"{one.group}: {one.name}")
        return 0
    began = time.monotonic()
    results: list[Survived] = []
    for number, survived in enumerate(_play(options), 1):
        results.append(survived)
        verdict = "survived" if survived.broken is None else f"BROKEN: {survived.broken}"
        console.print(f"{number:3} {survived.fault}: {verdict} ({survived.seconds:.0f} s)", markup=False)
        for note in survived.notes:
            console.print(f"      {note}", markup=False)
    order = list(FAULTS)
    results.sort(key=lambda survived: order.index(survived.fault))
    if options.json:
        print(json.dumps([_as_json(survived) for survived in results], indent=2))
    elif options.markdown:
        print(_markdown(results))
    else:
        console.print(_table(results))
    strikes, starts = sum(one.strikes for one in results), sum(one.starts for one in results)
    broken = [one for one in results if one.broken is not None]
    console.print(
        f"{len(results)} faults, {strikes} strikes survived, {starts} runs started, {len(broken)} broken, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 1 if broken else 0


def _play(options: argparse.Namespace) -> Iterator[Survived]:
    # Each in a process of its own, and none forked: they have threads, and gRPC in them.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=fresh, max_tasks_per_child=1) as pool:
        jobs = [pool.submit(drill_by_name, one.name, options.seed, options.times) for one in chosen(options.faults)]
        for job in as_completed(jobs):
            yield job.result()


def _as_json(survived: Survived) -> dict[str, object]:
    return {
        "fault": survived.fault,
        "group": FAULTS[survived.fault].group,
        "asserts": FAULTS[survived.fault].asserts,
        "strikes": survived.strikes,
        "starts": survived.starts,
        "seconds": round(survived.seconds, 1),
        "broken": survived.broken,
        "notes": survived.notes,
    }


def _table(results: list[Survived]) -> Table:
    table = Table("fault", "asserted, besides nothing lost, doubled or early", "survived", "runs", "s")
    group = ""
    for one in results:
        fault = FAULTS[one.fault]
        if fault.group != group:
            group = fault.group
            table.add_section()
        survived = f"{one.strikes} times" if one.broken is None else f"{one.strikes} times, then BROKEN"
        table.add_row(fault.name, fault.asserts, survived, str(one.starts), f"{one.seconds:.0f}")
    return table


def _markdown(results: list[Survived]) -> str:
    rows = ["| | fault | asserted, besides nothing lost, doubled or early | survived |", "|---|---|---|---|"]
    for one in results:
        fault = FAULTS[one.fault]
        rows.append(f"| {fault.group} | {fault.name} | {fault.asserts} | {one.strikes} times |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
