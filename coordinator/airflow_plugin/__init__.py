"""What runs inside Airflow, and beside it on the same host.

``plugin``       the Airflow plugin: listener hooks, as thin as they can be
``reporter``     turns a DAG run into an event and puts it into the outbox; the scheduler's side
``identity``     which Airflow this is
``outbox``       events on disk, one file each, in order
``parking``      those that cannot be delivered, and why
``private``      files that nobody else may use
``spawning``     starts the sender, a process of its own
``wakeup_pipe``  how the one wakes the other
``clients``      which processes use a sender: it ends with the last of them
``sender``       ``python -m coordinator.airflow_plugin.sender``: its process
``lossy_log``    its log, without which it goes on
``delivery``     from the outbox to etcd, in order, without end
``probing``      when parked events are tried again
``activity``     what was delivered lately
``announcing``   the sender shows that it is there: a key on a lease

The scheduler forks its workers, and gRPC does not survive a fork: ``plugin``, ``reporter`` and what they import run in
the scheduler, and import nothing of gRPC or etcd3, nor of ``store`` or ``reporting``. ``delivery`` and ``announcing``
do. A test guards it.
"""
