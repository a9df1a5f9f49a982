"""What is known of a task that others wait for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.model.explanation import task_in_words
from coordinator.model.references import PipelineRef, Target
from coordinator.model.waits import Wait
from coordinator.reading.naming import read_target
from coordinator.reading.reading import read
from coordinator.reading.wanted_keys import About
from coordinator.store.keys import Keys
from coordinator.store.port import Store


@dataclass(frozen=True, slots=True)
class TaskExplained:
    """:ivar says: a sentence. :ivar because: why, further sentences."""

    target: Target
    revision: int
    readiness: str
    says: str
    because: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """For programs: what ``coordinator explain --task --json`` prints."""
        whole = self.target.whole
        return {
            "pipeline": str(whole.pipeline),
            "partition": whole.partition,
            "task": self.target.pipeline.task,
            "revision": self.revision,
            "readiness": self.readiness,
            "says": self.says,
            "because": list(self.because),
        }


def task_explained(
    store: Store, keys: Keys, pipeline: PipelineRef, partition: str, task: str, *, revision: int = 0
) -> TaskExplained:
    """Read what a decision about a task needs, and explain it.

    Parameters and errors as :func:`coordinator.reading.explaining.explained`.
    """
    whole, target, _ = read_target(store, keys, pipeline, partition, revision=revision, below=False, new_pipeline=True)
    whole.require(pipeline)
    of_task = target._replace(pipeline=pipeline._replace(task=task))
    reading = read(store, keys, revision=revision, about=About(of_task.pipeline, (target.partition,)))
    waits = (seen.value for seen in reading.cache.waits)
    is_waited_for = any(isinstance(one, Wait) and one.is_for(of_task) for one in waits)
    says, because = task_in_words(reading.propagation, of_task, is_waited_for=is_waited_for)
    readiness = str(reading.propagation.decide(of_task).readiness)
    return TaskExplained(of_task, reading.cache.revision, readiness, says, tuple(because))
