"""Which targets to examine, and when: the work queue, and what waits beside it."""
