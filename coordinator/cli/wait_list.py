"""The waits that ``waits`` lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coordinator.cli.output import people, say, table
from coordinator.model.explanation.waits import in_words
from coordinator.model.partitions.instants import format_instant
from coordinator.model.phrases import counted
from coordinator.model.stored import Unreadable
from coordinator.model.waits import Answer

if TYPE_CHECKING:
    from coordinator.model.references import PipelineRef
    from coordinator.model.view import SeenWait
    from coordinator.reading.reading import Reading


def waits_of(reading: Reading, pipeline: PipelineRef | None, *, all_: bool) -> list[SeenWait]:
    """The waits of a pipeline's sensors, or of all. :param all_: also those with an answer."""
    return sorted(
        (
            seen
            for seen in reading.cache.waits
            if pipeline is None or seen.ref.run.pipeline == pipeline
            if all_ or isinstance(seen.value, Unreadable) or seen.value.status is Answer.WAITING
        ),
        key=lambda seen: seen.ref,
    )


def wait_as_json(reading: Reading, seen: SeenWait) -> dict[str, Any]:
    ref, wait = seen.ref, seen.value
    found: dict[str, Any] = {
        "pipeline": str(ref.run.pipeline),
        "partition": ref.run.partition,
        "run_id": ref.run_id,
        "task": ref.task_id,
        "map_index": ref.map_index,
    }
    if isinstance(wait, Unreadable):
        return {**found, "status": "unreadable", "says": wait.reason}
    return {
        **found,
        "status": str(wait.status),
        "upstream": {
            "pipeline": str(wait.upstream.pipeline.whole),
            "task": wait.upstream.pipeline.task or None,
            "partition": wait.upstream.partition,
            "on": str(wait.on),
        },
        "since": format_instant(wait.since) if wait.since is not None else None,
        "says": in_words(reading.propagation, ref.run, wait),
    }


def show_waits(reading: Reading, found: list[SeenWait]) -> None:
    """Every wait for people."""
    rows = (_row(wait_as_json(reading, seen)) for seen in found)
    people().print(table("sensor", "partition", "status", "since", "waits for", "says", rows=rows))
    say(counted(len(found), "sensor"))


def _row(wait: dict[str, Any]) -> tuple[str, ...]:
    index = f"[{wait['map_index']}]" if wait["map_index"] >= 0 else ""
    upstream = wait.get("upstream")
    waits_for = ""
    if upstream is not None:
        task = f":{upstream['task']}" if upstream["task"] else ""
        on = f" on {upstream['on']}" if upstream["on"] != "success" else ""
        waits_for = f"{upstream['pipeline']}{task}@{upstream['partition']}{on}"
    sensor = f"{wait['pipeline']}:{wait['task']}{index}"
    return sensor, wait["partition"], wait["status"], wait.get("since") or "", waits_for, wait["says"]
