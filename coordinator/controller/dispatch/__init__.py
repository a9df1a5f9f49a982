"""Requests to environments: who may go next, how many at once, and the threads that send them."""
