"""Long arms and short arms to the same bottoms, at the smallest pace: what starts before all is decided is seen here.

Many entries are taken out, their root runs again, and all are put back at once: that takes many steps to decide about.
Just then short arms complete, one after the other; their bottoms must wait for the long arm, which is to run first.
"""

from __future__ import annotations

import random

from tests.simulation.plan import Episode, Plan, Step

PARTITION = "region-eu"
BOTTOMS = 12
BESIDE = 24
"""Pipelines at the same rank as the long arm's first one: all of them are decided about before its second one."""


def draw_arms(seed: int) -> Plan:
    """The plan of a seed."""
    dice = random.Random(f"arms {seed}")
    shorts = [f"p{number}" for number in range(1, 1 + BOTTOMS)]
    beside = [f"p{number}" for number in range(100, 100 + BESIDE)]
    document: dict[str, dict[str, object]] = {name: {"upstream": "p0"} for name in (*beside, "p150")}
    document["p151"] = {"upstream": "p150"}
    for number, short in enumerate(shorts):
        document[f"p{200 + number}"] = {"upstream": ["p151", short]}
    sources = ("p0", *shorts)
    out = [Step(0.0, "take_out", name) for name in (*beside, "p150")]
    again = [Step(0.1, "clear", "p0", PARTITION)]
    short_ones = [Step(4.0 + 0.1 * number, "clear", short, PARTITION) for number, short in enumerate(shorts)]
    back = [Step(round(dice.uniform(4.5, 6.5), 3), "put_back")]
    return Plan(
        seed=seed,
        document=document,
        sources=sources,
        partitions=(PARTITION,),
        episodes=(
            Episode(acts=tuple(Step(0.0, "trigger", source, PARTITION) for source in sources)),
            Episode(acts=(*out, *again, *short_ones, *back)),
        ),
        pace=1,
        step_lasts=0.02,
    )
