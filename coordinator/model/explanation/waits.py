"""What a sensor waits for, and what has become of it, in words."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.model.explanation.causes import Cause, Kind, causes_of, not_met
from coordinator.model.explanation.headline import reason
from coordinator.model.explanation.words import moment, named, sensor_name
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target, WaitRef
from coordinator.model.sensors import EvaluatedSensor
from coordinator.model.view import Readiness
from coordinator.model.waiting import completion_for, readiness_for
from coordinator.model.waits import Wait


@dataclass(frozen=True, slots=True)
class WaitingSensor:
    """A sensor that has no answer yet.

    :ivar causes: why it waits, followed up to the first reasons; empty: it passes now.
    :ivar is_misnamed: what it names is most likely not what it means.
    :ivar is_deadlocked: what it waits for waits for it in turn.
    """

    ref: WaitRef
    wait: Wait
    causes: tuple[Cause, ...]
    is_misnamed: bool = False
    is_deadlocked: bool = False

    def in_words(self) -> str:
        """``wait_rates waits for U since ...``."""
        since = moment("since", self.wait.since)
        waits_for = f"{sensor_name(self.ref)} waits for {named(self.wait.upstream, self.ref.run)}{since}"
        return waits_for if self.causes else f"{waits_for}; the leader lets it pass now"


def causes_of_wait(propagation: Propagation, run: Target, wait: Wait) -> tuple[Cause, ...]:
    """Why a sensor still waits, nearest first; empty: it passes now.

    :param run: the pipeline and the partition of the sensor's run.
    """
    if completion_for(propagation, run, wait) is not None:
        return ()
    upstream = wait.upstream
    if readiness_for(propagation, run, wait) is Readiness.SETTLED:
        return (not_met(propagation, upstream, wait.on),)
    if causes := causes_of(propagation, propagation.decide(upstream)):
        return causes
    return (Cause(upstream.whole, Kind.RUNNING, reason(propagation.decide(upstream.whole))),)


def sensor_in_words(sensor: EvaluatedSensor) -> str:
    """A sensor that is cleared when its upstream completes again, and what has become of that."""
    upstream, run = sensor.wait.upstream, sensor.seen.ref.run
    says = "has not completed again since it passed"
    if sensor.new:
        says = "has completed again"
    elif sensor.busy:
        says = "runs, or is due to run"
    elif sensor.repairable:
        says = "has failed again, or is stuck"
    loop = "; it waits for this sensor in turn" if sensor.is_loop else ""
    return f"{sensor_name(sensor.seen.ref)}: {named(upstream, run)} {says}{loop}"
