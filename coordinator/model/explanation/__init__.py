"""A decision in words: why a pipeline fires in a partition, or what it waits for, input by input.

It is the decision that the watcher makes, told; nothing is worked out again here.
"""

from coordinator.model.explanation.changes import what_changed
from coordinator.model.explanation.deciding import as_json, headline, tree

__all__ = ["as_json", "headline", "tree", "what_changed"]
