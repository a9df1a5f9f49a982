"""etcd: a narrow port (``port.py``), its two implementations, and what is built on the port alone.

``port``        the operations that the rest of the project needs: list, transaction, watch, lease
``keys``        the names of keys, and what each key holds
``connection``  the port over the package etcd3: ``connect(settings)``. Below it: ``members`` (endpoints, failover,
                tokens), ``etcd_pages`` (listing), ``etcd_watch`` (one stream), ``failures`` (gRPC statuses),
                ``protobuf`` (makes the import work on today's protobuf)
``memory``      the port in memory, for simulations, on the server in ``memory_etcd``; it passes the same contract
                tests
``reflector``   list + watch that always recovers; ``gathering``: the list; ``large_values``: values too large to keep
``election``    one leader by lease; ``leadership``: how long it may still act; ``watcher_id``: a unique id per watcher;
                ``process_id``: whether a watcher's process has ended
``presence``    the values of ``leader`` and ``watchers/<id>``; ``replicas``: what they say about all watchers
``of_process``  one connection for a process that needs etcd only occasionally
``capacity``    how full etcd is
``roles``       who may read and write which keys; ``users``: etcd's own users and roles, for its administrator;
                ``securing``: the changes that are needed there
``embedded``    an etcd server of our own, for demos and tests

gRPC is loaded by ``connection`` and ``embedded`` only, and only when a client is made.
Imports ``model``, ``config`` and ``errors`` only.
"""
