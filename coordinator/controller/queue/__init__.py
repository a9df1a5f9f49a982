"""Which targets to examine, and when: the work queue, and the targets that wait beside it."""
