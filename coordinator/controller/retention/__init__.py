"""Retention: the leader removes old partitions, a little at a time (design section 5, point 7; decision 0011)."""
