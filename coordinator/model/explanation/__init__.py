"""Explaining a decision: why a pipeline fires in a partition, or what it waits for, input by input.

This describes the watcher's own decision, without a second evaluation. ``headline`` is one sentence, ``explain`` is
everything, and ``as_json`` is the same for programs.
"""

from coordinator.model.explanation.as_json import as_json
from coordinator.model.explanation.causes import Cause, Kind
from coordinator.model.explanation.changes import what_changed
from coordinator.model.explanation.explained import Explanation, explain, headline_of_run
from coordinator.model.explanation.headline import headline
from coordinator.model.explanation.in_words import InWords, in_words
from coordinator.model.explanation.of_task import task_in_words
from coordinator.model.explanation.record import order_in_words, record_in_words, status_of
from coordinator.model.explanation.tree import Line, tree
from coordinator.model.explanation.waits import sensor_in_words
from coordinator.model.explanation.words import hold_in_words, state_in_words

__all__ = [
    "Cause",
    "Explanation",
    "InWords",
    "Kind",
    "Line",
    "as_json",
    "explain",
    "headline",
    "headline_of_run",
    "hold_in_words",
    "in_words",
    "order_in_words",
    "record_in_words",
    "sensor_in_words",
    "state_in_words",
    "status_of",
    "task_in_words",
    "tree",
    "what_changed",
]
