"""Why a sensor still waits, in words."""

from __future__ import annotations

from coordinator.model.explanation.causes import own_causes
from coordinator.model.explanation.headline import reason
from coordinator.model.explanation.words import did, named
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.sensors import EvaluatedSensor
from coordinator.model.view import Readiness, readable_state
from coordinator.model.waiting import completion_for, readiness_for
from coordinator.model.waits import Answer, Wait


def in_words(propagation: Propagation, run: Target, wait: Wait) -> str:
    """What has become of a wait, or what it still waits for.

    :param run: the pipeline and the partition of the sensor's run.
    """
    upstream = wait.upstream
    if wait.status is Answer.REFUSED:
        return wait.reason
    if wait.status is Answer.PASSED:
        return f"it took revision {wait.completion.revision}" if wait.completion is not None else ""
    if completion_for(propagation, run, wait) is not None:
        return "it passes now, by the watcher that leads"
    if readiness_for(propagation, run, wait) is not Readiness.SETTLED:
        if own := "; ".join(cause.says for cause in own_causes(propagation, propagation.decide(upstream))):
            return f"{upstream.pipeline} {own}"
        pipeline = propagation.decide(upstream.whole)
        return f"{named(upstream.whole, upstream)} {reason(pipeline)}"
    if (state := readable_state(propagation.state(upstream))) is not None:
        return f"{upstream.pipeline} {did(state)}"
    return f"{upstream.pipeline} has not run in this partition yet"


def sensor_in_words(sensor: EvaluatedSensor) -> str:
    """A sensor that is cleared when its upstream completes anew, and what has become of that."""
    upstream, run = sensor.wait.upstream, sensor.seen.ref.run
    index = f"[{sensor.seen.ref.map_index}]" if sensor.seen.ref.map_index >= 0 else ""
    says = "has not completed anew since it passed"
    if sensor.new:
        says = "has completed anew"
    elif sensor.busy:
        says = "runs, or is due to run"
    elif sensor.repairable:
        says = "has failed anew, or is stuck"
    loop = "; it waits for this sensor in turn" if sensor.is_loop else ""
    return f"{sensor.seen.ref.task_id}{index}: {named(upstream, run)} {says}{loop}"
