"""References to pipelines: ``environment/dag_id``, or ``dag_id`` alone for the environment ``default``."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

DEFAULT_ENVIRONMENT = "default"


class PipelineRef(NamedTuple):
    """A DAG in an environment (docs/architecture.md#words).

    A named tuple, because it is hashed on every completion.
    """

    environment: str
    dag_id: str

    def __str__(self) -> str:
        if self.environment == DEFAULT_ENVIRONMENT and "/" not in self.dag_id:
            return self.dag_id
        return f"{self.environment}/{self.dag_id}"

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


target_of = partial(tuple.__new__, Target)
"""Makes a target from a pair in half the time of ``Target(...)``: a million keys name several million."""
