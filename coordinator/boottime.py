"""A clock that goes on while this process, or the whole machine, is suspended."""

from __future__ import annotations

import time


def boottime() -> float:
    """Seconds since boot, including suspensions if the system has such a clock.

    ``CLOCK_MONOTONIC`` stands still while a machine (or its virtual host) is suspended; a lease in etcd does not.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
