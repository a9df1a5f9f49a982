"""Pauses between attempts."""

from __future__ import annotations

from tenacity import RetryCallState, Retrying, wait_exponential, wait_random


class Backoff:
    """Exponential pauses with jitter, for any number of failures.

    :param initial: approximate seconds after the first failure.
    :param longest: seconds, at most.
    """

    def __init__(self, *, initial: float, longest: float) -> None:
        self._wait = wait_exponential(multiplier=initial, max=longest) + wait_random(0, initial / 2)
        self._retrying = Retrying()

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        state = RetryCallState(self._retrying, None, (), {})
        state.attempt_number = max(1, failures)
        return float(self._wait(state))
