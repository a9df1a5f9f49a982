"""What runs inside Airflow, and beside it on the same host.

``plugin``     the Airflow plugin: listener hooks, as thin as they can be
``reporter``   turns a DAG run into an event and puts it into the outbox; the scheduler's side
``outbox``     events on disk, one file each, in order
``spawning``   starts the deliverer, a process of its own
``doorbell``   how the one wakes the other
``keepers``    for whose sake a deliverer stays
``deliver``    ``python -m coordinator.provider.deliver``: the deliverer's process
``lossy_log``  its log, without which it goes on
``delivery``   from the outbox to etcd, in order, without end

The scheduler forks its workers, and gRPC does not survive a fork: ``plugin``, ``reporter``, ``outbox``,
``spawning`` and ``doorbell`` run in the scheduler and import nothing of gRPC or etcd3, nor of ``store`` or
``reporting``. ``delivery`` does. A test guards it.
"""
