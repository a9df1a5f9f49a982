"""The picture: a bar for each of the means, with its quartiles. It follows the reader's light or dark mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from xml.sax.saxutils import escape

from benchmarks.peers.figures import Row
from benchmarks.peers.means import DIRECT
from benchmarks.peers.table import TITLES

WIDTH, LEFT, RIGHT = 800, 230, 150
TOP, LINE, BAR = 64, 32, 16

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .small { font-size: 11px; fill: #57606a }
.grid { stroke: #d0d7de } .bar { fill: #8c959f } .ours { fill: #0969da } .spread { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 }
  .grid { stroke: #3d444d } .bar { fill: #656c76 } .ours { fill: #4493f8 } .spread { stroke: #e6edf3 }
}
"""


def picture(rows: Sequence[Row]) -> str:
    """An SVG of the waves' seconds from the end of 01; means of which no wave has ended have no bar."""
    longest = max((row.from_run.high for row in rows if row.from_run is not None), default=1.0)
    step = _step(longest)
    end = step * math.ceil(longest / step)
    height = TOP + LINE * len(rows) + 28

    def x(seconds: float) -> float:
        return round(LEFT + seconds / end * (WIDTH - LEFT - RIGHT), 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="Seconds from the end of 01 to the end of 07, by each means">',
        f"<style>{_STYLE}</style>",
        '<text class="title" x="8" y="20">From the end of 01 to the end of 07</text>',
        '<text class="small" x="8" y="38">seconds; the bar is the median, the line the quartiles; seven pipelines, one '
        "Airflow, the means took turns</text>",
    ]
    for number in range(round(end / step) + 1):
        at = x(number * step)
        lines.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{TOP - 8}" y2="{height - 28}"/>')
        lines.append(f'<text class="small" x="{at}" y="{height - 10}" text-anchor="middle">{number * step:g}</text>')
    for number, row in enumerate(rows):
        lines += _bar(row, TOP + LINE * number, x)
    return "\n".join([*lines, "</svg>", ""])


def _bar(row: Row, y: float, x: Callable[[float], float]) -> Iterator[str]:
    yield f'<text x="{LEFT - 10}" y="{y + BAR - 3}" text-anchor="end">{escape(TITLES[row.means])}</text>'
    if row.from_run is None:
        yield f'<text class="small" x="{x(0) + 6}" y="{y + BAR - 4}">no wave has ended</text>'
        return
    kind = "bar ours" if row.means in ("runs", "tasks") else "bar"
    median, low, high = (x(seconds) for seconds in (row.from_run.median, row.from_run.low, row.from_run.high))
    yield f'<rect class="{kind}" x="{x(0)}" y="{y}" width="{round(median - x(0), 1)}" height="{BAR}" rx="2"/>'
    yield f'<line class="spread" x1="{low}" x2="{high}" y1="{y + BAR / 2}" y2="{y + BAR / 2}"/>'
    said = f"{row.from_run.median:.2f}"
    if row.ratio is not None and row.means != DIRECT.name:
        said += f" (x {row.ratio:.2f})"
    if row.once < row.waves:
        said += ", not once"
    yield f'<text class="small" x="{max(median, high) + 6}" y="{y + BAR - 4}">{said}</text>'


def _step(longest: float) -> float:
    """Between two lines of the grid: 1, 2 or 5 times a power of ten, six lines at most."""
    power = 10.0 ** math.floor(math.log10(longest / 6))
    return next(factor * power for factor in (1, 2, 5, 10) if longest / (factor * power) <= 6)
