"""Own runs that are waited for: a pipeline is to run again, and its environment shows that its run still goes on.

The state in etcd may say that it has ended, because a person has marked it. No key says that the run goes on, so a
person is told in the leader's presence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.model.references import Target

TOLD_AFTER = 10.0
"""Seconds for which it is waited for before a person is told: a run that ends just now is no problem."""

MOST = 20
"""Problems that are told at once."""


@dataclass(frozen=True, slots=True)
class _Waited:
    run_id: str
    since: float


class OwnRuns:
    """See the module. Used by the deciding thread; :meth:`problems` by any."""

    def __init__(self) -> None:
        self._waited: dict[Target, _Waited] = {}

    def waits(self, target: Target, run_id: str, now: float) -> None:
        """A start waits for the end of this run. :param now: monotonic seconds."""
        known = self._waited.get(target)
        if known is None or known.run_id != run_id:
            self._waited[target] = _Waited(run_id, now)

    def goes_on(self, target: Target) -> None:
        """Its start does not wait for that any more."""
        self._waited.pop(target, None)

    def clear(self) -> None:
        """A term has begun or ended."""
        self._waited.clear()

    def problems(self, now: float) -> Mapping[str, str]:
        """What has waited for long, by its place."""
        late = [(target, one) for target, one in dict(self._waited).items() if now - one.since >= TOLD_AFTER]
        return {
            f"start of {target}": (
                f"it is to run again, and its run {one.run_id} still goes on in its environment, whatever is known of "
                "it here; it is started again once that has ended: wait for it, or stop it there"
            )
            for target, one in sorted(late)[:MOST]
        }
