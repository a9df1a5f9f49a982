"""Cycles are collected by the clock, though hardly anything is allocated."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest

from coordinator.cli.gc_tuning import RareCollections


@pytest.fixture
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class _Knot:
    def __init__(self) -> None:
        self.itself = self


@pytest.mark.usefixtures("thresholds")
def test_a_cycle_is_gone_soon_though_nothing_is_allocated() -> None:
    gone = threading.Event()
    with RareCollections(every=0.01):
        weakref.finalize(_Knot(), gone.set)
        assert gone.wait(10)


@pytest.mark.usefixtures("thresholds")
def test_without_the_clock_it_would_stay() -> None:
    gone = threading.Event()
    with RareCollections(every=3600):
        weakref.finalize(_Knot(), gone.set)
        assert not gone.is_set()
        assert gc.get_threshold()[0] > 10_000
