"""Faults on real parts: etcd servers, watcher processes, senders, and lines between them that can be cut.

A fault strikes in the middle of waves over a random graph. What happened is read from outside (etcd's own history,
the requests that the environments got) and checked by the checkers and the oracle of ``tests.simulation``.

``python -m tests.faults`` plays all of them and prints a table; ``tests/faults/test_faults.py`` plays some.
"""
