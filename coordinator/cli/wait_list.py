"""The waits that ``waits`` lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coordinator.cli.output import people, roughly, say, table
from coordinator.model.durations import age_of
from coordinator.model.explanation.words import did, listed
from coordinator.model.partitions.instants import format_instant
from coordinator.model.phrases import counted
from coordinator.model.stored import Unreadable
from coordinator.model.view import readable_state
from coordinator.model.waits import Completion, Wait, WaitStatus, at_the_triggerer, unresumed_place
from coordinator.reading.unresumed_sensors import unresumed_in

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from coordinator.model.explanation.waits import WaitingSensor
    from coordinator.model.references import PipelineRef
    from coordinator.model.view import SeenWait
    from coordinator.reading.reading import Reading


def waits_of(reading: Reading, pipeline: PipelineRef | None, *, all_: bool) -> list[SeenWait]:
    """The waits of a pipeline's sensors and those for it, or all.

    :param all_: also those with an answer that their tasks have taken.
    """
    unresumed = unresumed_in(reading)
    return sorted(
        (
            seen
            for seen in reading.cache.waits
            if pipeline is None or pipeline in _both_sides(seen)
            if all_
            or isinstance(seen.value, Unreadable)
            or seen.value.status is WaitStatus.WAITING
            or _is_unresumed(seen, seen.value, unresumed)
        ),
        key=lambda seen: seen.ref,
    )


def _is_unresumed(seen: SeenWait, wait: Wait, unresumed: Collection[str]) -> bool:
    return wait.status is WaitStatus.PASSED and unresumed_place(seen.ref) in unresumed


def _both_sides(seen: SeenWait) -> tuple[PipelineRef, ...]:
    own = seen.ref.run.pipeline
    return (own,) if isinstance(seen.value, Unreadable) else (own, seen.value.upstream.pipeline.whole)


def wait_as_json(
    reading: Reading,
    seen: SeenWait,
    now: datetime,
    *,
    waiting: WaitingSensor | None,
    unresumed: Collection[str] = (),
) -> dict[str, Any]:
    """A wait for programs.

    :param waiting: why it has no answer yet.
    :param unresumed: the places of those that have passed, and whose tasks have not resumed.
    """
    ref, wait = seen.ref, seen.value
    found: dict[str, Any] = {
        "pipeline": str(ref.run.pipeline),
        "partition": ref.run.partition,
        "run_id": ref.run_id,
        "task": ref.task_id,
        "map_index": ref.map_index,
    }
    if isinstance(wait, Unreadable):
        return {**found, "status": "unreadable", "says": wait.reason, "remedies": ["clear the sensor"]}
    is_unresumed = _is_unresumed(seen, wait, unresumed)
    return {
        **found,
        "status": str(wait.status),
        "upstream": {
            "pipeline": str(wait.upstream.pipeline.whole),
            "task": wait.upstream.pipeline.task or None,
            "partition": wait.upstream.partition,
            "on": str(wait.on),
        },
        "since": format_instant(wait.since.replace(microsecond=0)) if wait.since is not None else None,
        "age": age_of(wait.since, now),
        "passed_at": format_instant(wait.passed_at.replace(microsecond=0)) if wait.passed_at is not None else None,
        "unresumed": is_unresumed,
        **(_unresumed(seen, wait, now) if is_unresumed else _outcome(reading, seen, wait, waiting)),
    }


def _unresumed(seen: SeenWait, wait: Wait, now: datetime) -> dict[str, Any]:
    age = age_of(wait.passed_at, now)
    ago = f" {roughly(age)} ago" if age is not None else ""
    return {
        "says": f"passed{ago}, its task has not resumed",
        "remedies": [at_the_triggerer(seen.ref.run.pipeline.environment)],
    }


def _outcome(reading: Reading, seen: SeenWait, wait: Wait, waiting: WaitingSensor | None) -> dict[str, Any]:
    """What has become of it, or why it waits, and what a person can do."""
    if wait.status is WaitStatus.REFUSED:
        return {"says": wait.reason, "remedies": ["correct the sensor, then clear the task"]}
    if wait.completion is not None:
        return {"says": f"passed: {_passed_on(reading, wait, wait.completion)}", "remedies": []}
    run = seen.ref.run
    causes = waiting.causes if waiting is not None else ()
    if not causes:
        if reading.cache.leader is None:
            return {"says": "passes once a watcher leads", "remedies": ["start one: coordinator watch"]}
        return {"says": "the leader lets it pass now", "remedies": []}
    remedies = [cause.remedy for cause in causes if cause.remedy]
    return {"says": listed([cause.sentence(run) for cause in causes], "; "), "remedies": list(dict.fromkeys(remedies))}


def _passed_on(reading: Reading, wait: Wait, used: Completion) -> str:
    """The completion that let it pass, with the time of its end while nothing newer has been reported."""
    seen = reading.cache.state(wait.upstream)
    known = readable_state(seen)
    if seen is None or known is None or not used.is_same(known, seen.revision):
        known = used.as_run_state()
    return f"{wait.upstream} {did(known)}, revision {used.revision}"


def show_waits(waits: list[dict[str, Any]]) -> None:
    """Every wait for people. :param waits: as for programs."""
    rows = map(_row, waits)
    people().print(table("sensor", "partition", "status", "age", "waits for", "why", "what to do", rows=rows))
    say(counted(len(waits), "sensor"))


def _row(wait: dict[str, Any]) -> tuple[str, ...]:
    index = f"[{wait['map_index']}]" if wait["map_index"] >= 0 else ""
    upstream = wait.get("upstream")
    waits_for = ""
    if upstream is not None:
        task = f":{upstream['task']}" if upstream["task"] else ""
        on = f" on {upstream['on']}" if upstream["on"] != "success" else ""
        waits_for = f"{upstream['pipeline']}{task}@{upstream['partition']}{on}"
    sensor = f"{wait['pipeline']}:{wait['task']}{index}"
    age = roughly(wait["age"]) if wait.get("age") is not None else ""
    remedy = "; ".join(wait["remedies"])
    return sensor, wait["partition"], wait["status"], age, waits_for, wait["says"], remedy
