"""etcd: a narrow port (``port.py``), its two implementations, and what is built on the port alone.

``port``        what the rest of the project needs of an etcd: list, transaction, watch, lease
``connection``  the port over the package etcd3 (``protobuf`` makes that import work on today's protobuf)
``memory``      the port in memory, for simulations; it passes the same contract tests
``keys``        which key holds what
``reflector``   list + watch that never goes deaf
``election``    one leader by lease
``embedded``    an etcd server of our own, for demos and tests

Imports ``model``, ``settings`` and ``errors`` only.
"""
