"""Requests that have had no answer for long: the part of ``coordinator status`` about environments.

An intent without an answer is no failure: what came of it is asked until that is known, and until then it is not made
again. But it waits for an environment, and perhaps for somebody who repairs that.
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
"""An environment that takes one request at a time is through with all that may have an intent at once well before
that; and what came of a request is asked again after ``watcher.backoff_max`` at most."""


def stale_requests(reading: Reading, now: datetime) -> dict[str, str]:
    """What somebody should see to, by ``environment <name>``.

    :param now: by which it is told for how long a request has had no answer.
    """
    from coordinator.model.trigger import Status
    from coordinator.model.view import readable_record

    if reading.cache.leader is None:
        return {}  # nobody asks; that is the problem, and it is told
    waiting: dict[str, list[tuple[datetime, Target]]] = defaultdict(list)
    for target in reading.cache.targets():
        record = readable_record(reading.cache.record(target))
        if record is None or record.status is not Status.INTENT or record.when is None:
            continue
        if now - record.when >= LONG:
            waiting[target.pipeline.environment].append((record.when, target))
    return {f"environment {name}": _in_words(waiting[name], now) for name in sorted(waiting)}


def _in_words(waiting: list[tuple[datetime, Target]], now: datetime) -> str:
    since, target = min(waiting)
    minutes = int((now - since).total_seconds() // 60)
    return (
        f"{counted(len(waiting), 'request has', 'requests have')} had no answer for up to {minutes} min, "
        f"{target} for longest: it is away, very slow, or does not let anybody ask what came of them; the leader's "
        "log (trigger.unanswered) and 'coordinator doctor' say which"
    )
