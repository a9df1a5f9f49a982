"""The section ``watcher`` of the settings: the service."""

from __future__ import annotations

from pydantic import Field

from coordinator.config.sections import RequestSeconds, Seconds, Section
from coordinator.model import bounds


class WatcherSettings(Section):
    """The service. All durations in seconds.

    :ivar lease_ttl: a leader that is silent for so long is replaced.
    :ivar fresh_for: an input whose completion arrived live within so many seconds needs no look.
    :ivar look_timeout: bound of a look (a question about runs) at upstreams' environments.
    :ivar follow_after: a run that has reported nothing for so long is asked about; later pauses grow.
    :ivar follow_tasks_after: a task that others wait for is asked about again after so long; later pauses grow to four
        times as much.
    :ivar observe_every: an observed environment is asked so often while something happens there ...
    :ivar observe_idle: ... and so often while nothing does.
    :ivar blocked_retry: pause until a refused request is tried again.
    :ivar reexamine_every: everything is examined again after so long, whether or not anything has happened.
    :ivar missed_after: a completion so long before a watcher began to lead was missed (``catchup``).
    :ivar backoff_max: the longest pause between two attempts on an environment that does not answer.
    :ivar decision_log: where each decision is logged: a path, or ``-`` for standard output.
    """

    lease_ttl: int = Field(default=10, ge=2, le=int(bounds.REQUEST_SECONDS))
    fresh_for: float = Field(default=1.0, ge=0, le=bounds.SECONDS)
    look_timeout: RequestSeconds = 2.0
    follow_after: Seconds = 5.0
    follow_tasks_after: Seconds = 0.5
    observe_every: Seconds = 2.0
    observe_idle: Seconds = 30.0
    blocked_retry: Seconds = 60.0
    reexamine_every: Seconds = 300.0
    missed_after: Seconds = 60.0
    backoff_initial: Seconds = 0.5
    backoff_max: Seconds = 30.0
    decision_log: str | None = Field(default=None, min_length=1)
