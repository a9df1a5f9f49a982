"""References to pipelines: ``environment/dag_id``, or ``dag_id`` alone for the environment ``default``.

A task is shown as ``environment/dag_id:task``; documents name it in a field of its own. An item of a pipeline that fans
out over rows is a pipeline too: ``environment/dag_id[key]``. ``environment/dag_id[]`` stands for its rows. A dag_id of
Airflow has no bracket.
"""

from __future__ import annotations

import re
from functools import partial
from typing import NamedTuple

DEFAULT_ENVIRONMENT = "default"

ITEM_KEY = "[A-Za-z0-9_.:+-]{1,100}"
"""The key of an item, as a regular expression: it stands in keys of etcd and in run_ids."""

_ITEM = re.compile(rf"(.+)\[({ITEM_KEY})\]", re.DOTALL)
_ROWS = "[]"


class PipelineRef(NamedTuple):
    """A DAG in an environment (docs/architecture.md#words), or one task of it, as an upstream.

    A named tuple, because it is hashed on every completion.

    :ivar task: the id of the task; empty: the whole pipeline.
    """

    environment: str
    dag_id: str
    task: str = ""

    def __str__(self) -> str:
        task = f":{self.task}" if self.task else ""
        if self.environment == DEFAULT_ENVIRONMENT and "/" not in self.dag_id:
            return self.dag_id + task
        return f"{self.environment}/{self.dag_id}{task}"

    @property
    def whole(self) -> PipelineRef:
        """The pipeline that a task belongs to; itself, if it is no task."""
        return PipelineRef(self.environment, self.dag_id) if self.task else self

    @property
    def item(self) -> str:
        """The key of the item that it is; empty: it is none."""
        found = _ITEM.fullmatch(self.dag_id) if self.dag_id[-1:] == "]" else None
        return found[2] if found is not None else ""

    @property
    def is_rows(self) -> bool:
        """Whether it stands for the rows of a pipeline."""
        return self.dag_id[-2:] == _ROWS

    @property
    def fanned_out(self) -> PipelineRef:
        """The pipeline of which it is an item, or whose rows it stands for; itself, if it is neither."""
        if self.dag_id[-1:] != "]":
            return self
        if self.is_rows:
            return PipelineRef(self.environment, self.dag_id[: -len(_ROWS)])
        found = _ITEM.fullmatch(self.dag_id)
        return self if found is None else PipelineRef(self.environment, found[1])

    @property
    def run_dag_id(self) -> str:
        """The dag_id of its runs: that of the pipeline, for an item."""
        return self.fanned_out.dag_id if self.dag_id[-1:] == "]" else self.dag_id

    def with_item(self, key: str) -> PipelineRef:
        """An item of this pipeline."""
        return PipelineRef(self.environment, f"{self.dag_id}[{key}]")

    @property
    def rows(self) -> PipelineRef:
        """What stands for the rows of this pipeline, as the upstream of its items."""
        return PipelineRef(self.environment, self.dag_id + _ROWS)

    @classmethod
    def parse(cls, text: str) -> PipelineRef:
        """Read a reference.

        :param text: ``environment/dag_id`` or ``dag_id``; the first ``/`` divides.
        :raises ValueError: a part is empty, or has leading or trailing blanks.
        """
        environment, slash, dag_id = text.partition("/")
        if not slash:
            environment, dag_id = DEFAULT_ENVIRONMENT, text
        for part in (environment, dag_id):
            if not part or part != part.strip():
                blanks = "; there are blanks around a name" if part.strip() else ""
                raise ValueError(
                    f"{text!r} is not a pipeline reference; expected 'dag_id' or 'environment/dag_id'{blanks}"
                )
        return cls(environment, dag_id)


class Target(NamedTuple):
    """A pipeline in a partition: what the coordinator decides about, examines and starts."""

    pipeline: PipelineRef
    partition: str

    def __str__(self) -> str:
        return f"{self.pipeline}@{self.partition}"

    @property
    def whole(self) -> Target:
        """The pipeline that a task belongs to, in the same partition; itself, if it is no task."""
        return Target(self.pipeline.whole, self.partition) if self.pipeline.task else self


class WaitRef(NamedTuple):
    """The sensor that waits, by its place in a run.

    :ivar run: the pipeline and the partition of its run.
    :ivar map_index: -1 where the sensor is not mapped.
    """

    run: Target
    run_id: str
    task_id: str
    map_index: int

    @property
    def sensor(self) -> str:
        """As people name it: ``mart:wait_orders``, with its map index if it is mapped."""
        index = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.run.pipeline}:{self.task_id}{index}"

    @property
    def name(self) -> Target:
        """As a target, for the work queue and for questions to environments. No task of a dependency has such an id."""
        environment, dag_id, _ = self.run.pipeline
        task = f"{self.task_id}[{self.map_index}] of {self.run_id}"
        return Target(PipelineRef(environment, dag_id, task), self.run.partition)


target_of = partial(tuple.__new__, Target)
"""Makes a target from a pair in half the time of ``Target(...)``: a million keys name several million."""
