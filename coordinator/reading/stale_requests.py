"""Stale requests, which have had no answer for long: the part of ``coordinator status`` about environments.

An *intent* is a request that was written to etcd before it is sent. An intent without an answer is no failure: the
coordinator asks for its outcome until that is known, and does not repeat it before. But it waits for an environment,
and perhaps for somebody who repairs that environment.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from coordinator.model.phrases import counted

if TYPE_CHECKING:
    from coordinator.model.references import Target
    from coordinator.reading.reading import Reading

LONG = timedelta(minutes=10)
"""Even an environment that handles one request at a time has answered all that may have an intent at once well before
that; and the outcome of a request is asked for again after ``watcher.backoff_max`` at most."""


def stale_requests(reading: Reading, now: datetime) -> dict[str, str]:
    """The problems that need somebody's action, by ``environment <name>``.

    :param now: the time by which ages are computed.
    """
    if reading.cache.leader is None:
        return {}  # without a leader nobody asks, which is shown as a problem itself
    waiting: dict[str, list[tuple[datetime, Target]]] = defaultdict(list)
    for target, record in reading.intents():
        if record.when is not None and now - record.when >= LONG:
            waiting[target.pipeline.environment].append((record.when, target))
    return {f"environment {name}": _in_words(waiting[name], now) for name in sorted(waiting)}


def _in_words(waiting: list[tuple[datetime, Target]], now: datetime) -> str:
    since, target = min(waiting)
    minutes = int((now - since).total_seconds() // 60)
    return (
        f"{counted(len(waiting), 'request has', 'requests have')} had no answer for up to {minutes} min, "
        f"{target} for longest: it is down, very slow, or refuses questions about them; the leader's log "
        "(trigger.unanswered) and 'coordinator doctor' show which"
    )
