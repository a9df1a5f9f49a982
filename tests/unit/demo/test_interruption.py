"""Ctrl-C is an exception, but only where the program waits."""

from __future__ import annotations

import signal

import pytest

from coordinator.demo.interruption import SIGNALS, Interrupted, heed, interruptible, pause


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_raises_where_it_is_heeded_and_nowhere_else(number: signal.Signals) -> None:
    before, steps = signal.getsignal(number), []

    def program() -> None:
        with interruptible():
            signal.raise_signal(number)
            steps.append("what had begun")
            pause(0.0)
            steps.append("what comes after a pause")

    with pytest.raises(Interrupted):
        program()
    assert steps == ["what had begun"]
    assert signal.getsignal(number) is before


def test_what_nobody_heeds_is_raised_at_the_end() -> None:
    steps = []

    def program() -> None:
        with interruptible():
            signal.raise_signal(signal.SIGTERM)
            steps.append("all")

    with pytest.raises(Interrupted):
        program()
    assert steps == ["all"]


def test_further_signals_do_not_interrupt_the_way_out() -> None:
    steps = []

    def program() -> None:
        with interruptible():
            try:
                signal.raise_signal(signal.SIGINT)
                heed()
            finally:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGTERM)
                pause(0.0)
                steps.append("cleaned")

    with pytest.raises(Interrupted):
        program()
    assert steps == ["cleaned"]


def test_an_error_is_told_rather_than_the_interruption() -> None:
    def program() -> None:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        program()


def test_one_interruption_is_not_left_over_for_the_next() -> None:
    with pytest.raises(Interrupted), interruptible():
        signal.raise_signal(signal.SIGINT)
    with interruptible():
        heed()
    heed()
