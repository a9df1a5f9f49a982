"""What a completion examines does not grow with the graph or with the history: counted, for time is no witness."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scale import QUICK, SECTIONS
from benchmarks.scaling.alone import ModelAlone
from benchmarks.scaling.counting import counting
from benchmarks.scaling.mapped import SHAPES, run_a_day
from benchmarks.scaling.ring import SMALLEST, Ring
from benchmarks.scaling.waves import ModelWaves, ReconcilerWaves

REPOSITORY = Path(__file__).parents[3]
PLACE = 20
"""A source whose cone has the same names in every ring."""


def test_keys_examined_for_a_completion_are_the_same_among_four_times_as_many_pipelines() -> None:
    examined = []
    for pipelines in (SMALLEST, 4 * SMALLEST):
        count = ModelWaves(Ring(pipelines), partitions=1).counted_wave(PLACE, 0)
        examined.append((count.keys, count.decisions))
    assert examined[0] == examined[1]
    assert examined[0][0] > 0


@pytest.mark.slow
@pytest.mark.parametrize(("pipelines", "partitions"), [(4 * SMALLEST, 1), (SMALLEST, 20)])
def test_keys_examined_by_the_reconciler_grow_neither_with_pipelines_nor_with_history(
    pipelines: int, partitions: int
) -> None:
    examined = []
    for ring, past in ((Ring(SMALLEST), 1), (Ring(pipelines), partitions)):
        examined.append(ReconcilerWaves(ring, past).counted_wave(PLACE, 0))
    # Looks are gone through as sets: their order, and with it a few repeated reads, is another in every process.
    assert examined[1].decisions == pytest.approx(examined[0].decisions, rel=0.01)
    assert examined[1].keys == pytest.approx(examined[0].keys, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_keys_examined_through_a_mapping_do_not_grow_with_the_partitions_of_the_past(shape: str) -> None:
    examined = []
    for days in (2, 40):
        model = ModelAlone(SHAPES[shape].graph(), SHAPES[shape].past(days))
        with counting(model.facts) as count:
            ran = run_a_day(model, days)
        assert ran == 24 + SHAPES[shape].runs_in_a_day
        examined.append((count.keys, count.decisions))
    assert examined[0] == examined[1]


def test_a_wave_starts_everything_below_its_source_once() -> None:
    ring = Ring(SMALLEST)
    waves = ReconcilerWaves(ring, partitions=2)
    passed = waves.wave(PLACE, 1)
    assert passed.completions == 1 + 5 + 9 + 13 + 17
    assert waves.watcher.starts == passed.completions - 1


@pytest.mark.slow
def test_the_benchmark_measures_every_section() -> None:
    command = [sys.executable, "-m", "benchmarks.scale", "--quick", "--json"]
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    figures = json.loads(finished.stdout)
    assert set(figures) == set(SECTIONS)
    for section in figures.values():
        for figure in section:
            assert figure["at"], figure
            assert all(value >= 0 for value in figure["at"].values()), figure
    counted = [figure for figure in figures["flatness"] if "examined" in figure["what"]]
    assert [set(figure["at"]) for figure in counted] == [{f"{n:,} pipelines" for n in QUICK.pipelines}] * 2
    assert all(figure["ratio"] == pytest.approx(1, rel=0.01) for figure in counted)
