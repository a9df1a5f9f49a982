"""Retention: the leader removes old partitions, a little at a time (docs/architecture.md#retention; decision 0011)."""
