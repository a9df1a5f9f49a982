"""Ctrl-C is an exception, but never between the start of a process and the note of it."""

from __future__ import annotations

import signal

import pytest

from coordinator.demo.interruption import SIGNALS, Interrupted, interruptible, uninterrupted


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_interrupts_what_is_inside(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def program() -> None:
        with interruptible():
            signal.raise_signal(number)
            pytest.fail("went on")

    with pytest.raises(Interrupted):
        program()
    assert signal.getsignal(number) is before


def test_what_must_not_be_interrupted_runs_to_its_end() -> None:
    steps = []

    def program() -> None:
        with interruptible():
            with uninterrupted():
                with uninterrupted():
                    signal.raise_signal(signal.SIGINT)
                    steps.append("inner")
                steps.append("outer")
            steps.append("after")

    with pytest.raises(Interrupted):
        program()
    assert steps == ["inner", "outer"]


def test_a_second_signal_does_not_interrupt_the_way_out() -> None:
    steps = []

    def program() -> None:
        with interruptible():
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)
                with uninterrupted():
                    signal.raise_signal(signal.SIGTERM)
                steps.append("cleaned")

    with pytest.raises(Interrupted):
        program()
    assert steps == ["cleaned"]


def test_one_interruption_is_not_left_over_for_the_next() -> None:
    with pytest.raises(Interrupted), interruptible():
        signal.raise_signal(signal.SIGINT)
    with interruptible(), uninterrupted():
        pass
    with uninterrupted():
        pass
