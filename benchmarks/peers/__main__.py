"""Peers: waves through seven pipelines by each means to make one DAG wait for others, in one real Airflow.

The means take turns, wave by wave, and every ratio is beside the floor of the same run: a loop that POSTs the next run
as soon as a listener says that one has ended, with nothing written down. Then the newest runs of 01 and of 03 are
cleared, to see what runs again. Then one root starts many pipelines. A wave that does not end in time counts as such.

    python -m benchmarks.peers [--waves 12] [--clears 2] [--fan-outs 2] [--pipelines 200] [--json] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmarks.peers.document import write
from benchmarks.peers.figures import Measured, rows
from benchmarks.peers.graph import Graph, seven, star
from benchmarks.peers.judging import say_again
from benchmarks.peers.means import MEANS, Means
from benchmarks.peers.playing import Limits, Player
from benchmarks.peers.stand import NoPostgresql, Stand, started
from benchmarks.peers.table import Conditions, tables

CLEARED = ("01_pipeline", "03_pipeline")
"""In this order: what is left over of a clear in the middle would reach waves after it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waves", type=int, default=12)
    parser.add_argument("--clears", type=int, default=2, help="of each pipeline that is cleared")
    parser.add_argument("--fan-outs", type=int, default=2)
    parser.add_argument("--pipelines", type=int, default=200, help="below the root of a fan-out")
    parser.add_argument("--limit", type=float, default=60, help="seconds for a wave")
    parser.add_argument("--fan-out-limit", type=float, default=300, help="seconds for a fan-out")
    parser.add_argument("--rest", type=float, default=3, help="seconds without a change after which all is over")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", action="store_true", help="the tables and the picture into docs/")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # everything that runs is ended, as with Ctrl-C
    graph, wide = seven(), star(options.pipelines)
    limits = Limits(options.limit, options.fan_out_limit, options.rest)
    load = [os.getloadavg()[0]]
    # Below /tmp: the path of a socket has 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="peers-", dir="/tmp") as directory:
        try:
            with started(Path(directory), {"seven": graph, "wide": wide}) as stand:
                measured = measure(stand, limits, graph, wide, options)
        except NoPostgresql as error:
            sys.exit(str(error))
    load.append(os.getloadavg()[0])
    conditions = Conditions(
        f"Airflow {version('apache-airflow')}, Python {platform.python_version()}, {os.cpu_count()} cores",
        options.pipelines,
        options.clears,
        options.fan_outs,
        (load[0], load[1]),
    )
    found = rows(measured)
    if options.write:
        write(conditions, found)
    if options.json:
        waves = {name: [asdict(wave) for wave in of] for name, of in measured.waves.items()}
        fans = {name: [asdict(fan) for fan in of] for name, of in measured.fan_outs.items()}
        every = [asdict(row) for row in found]
        print(json.dumps({"conditions": asdict(conditions), "rows": every, "waves": waves, "fan_outs": fans}))
        return
    for table in tables(conditions, found):
        Console(width=max(Console().width, 140)).print(table)


def measure(stand: Stand, limits: Limits, graph: Graph, wide: Graph, options: argparse.Namespace) -> Measured:
    player, measured = Player(stand, limits), Measured()
    rounds = 1 + options.waves + options.clears * len(CLEARED) + options.fan_outs
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=rounds * len(MEANS))
        for number in range(-1, options.waves):  # the first one warms everything up
            for means in _in_turn(number):
                progress.update(task, advance=1, description=f"wave {number + 1}, {means.title}")
                wave = player.wave(means, graph, number)
                if number >= 0:
                    measured.waves.setdefault(means.name, []).append(wave)
        for cleared in CLEARED:
            for number in range(options.clears):
                for means in _in_turn(number):
                    progress.update(task, advance=1, description=f"clear of {cleared}, {means.title}")
                    said = say_again(cleared, player.clear(means, graph, cleared))
                    measured.again.setdefault(means.name, {}).setdefault(cleared, []).append(said)
        for number in range(options.fan_outs):
            for means in _in_turn(number):
                progress.update(task, advance=1, description=f"fan-out, {means.title}")
                measured.fan_outs.setdefault(means.name, []).append(player.fan_out(means, wide, number))
    measured.waves = {means.name: measured.waves[means.name] for means in MEANS}
    return measured


def _in_turn(number: int) -> Iterator[Means]:
    """All of them, each round with another one first."""
    first = number % len(MEANS)
    rotated: Sequence[Means] = (*MEANS[first:], *MEANS[:first])
    yield from rotated


if __name__ == "__main__":
    main()
