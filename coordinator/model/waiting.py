"""When a wait passes: by the rule of the dependencies, when what it waits for is met, and settled. Pure."""

from __future__ import annotations

from coordinator.model.consumption import Consumed
from coordinator.model.decide import decide_run_of, decide_without_sensors
from coordinator.model.loops import is_loop
from coordinator.model.propagation.propagation import Propagation
from coordinator.model.references import Target
from coordinator.model.sensors import completion_of
from coordinator.model.tasks import readiness_of
from coordinator.model.view import Readiness
from coordinator.model.waits import Wait


def completion_for(propagation: Propagation, run: Target, wait: Wait) -> Consumed | None:
    """The completion that lets a wait pass now: what it waits for is met, and settled; ``None``: it goes on waiting.

    It need not be new: a sensor that begins to wait when its upstream has completed passes at once.

    :param run: the pipeline and the partition of the sensor's run.
    """
    if readiness_for(propagation, run, wait) is not Readiness.SETTLED:
        return None
    return completion_of(propagation, wait)


def readiness_for(propagation: Propagation, run: Target, wait: Wait) -> Readiness:
    """How ready the upstream of a wait is, which no dependency need name. Parameters as in :func:`completion_for`.

    Where a sensor of the upstream waits for this run in turn, each would wait for the other for ever: then the sensors
    of the upstream do not count. What is not known of a task is asked about.
    """
    upstream = wait.upstream
    found = _readiness(propagation, upstream, sensors=True)
    graph = propagation.graph
    may_wait_back = found is not Readiness.SETTLED and graph.is_above(run.pipeline, upstream.pipeline)
    if may_wait_back and is_loop(graph, propagation, run, wait, if_unknown=False):
        return _readiness(propagation, upstream, sensors=False)
    return found


def _readiness(propagation: Propagation, upstream: Target, *, sensors: bool) -> Readiness:
    if not upstream.pipeline.task and sensors:
        return propagation.readiness(upstream)
    if sensors:
        run = decide_run_of(propagation.graph, propagation, upstream)
    else:
        run = decide_without_sensors(propagation.graph, propagation, upstream.whole)
    if not upstream.pipeline.task:
        return run.readiness
    return readiness_of(propagation, upstream, run=run.readiness, runs_again=run.runs_again, active_since=0)
