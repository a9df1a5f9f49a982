"""The Airflow plugin, and the sender beside Airflow on the same host.

``plugin``       the Airflow plugin: thin listener hooks
``reporter``     turns a DAG run into an event and puts it into the outbox; runs in the scheduler
``identity``     the version and address of this Airflow
``outbox``       events on disk, one file each, in order
``parking``      events that cannot be delivered, and why
``private``      files that only their owner may use
``spawning``     starts the sender, a process of its own
``wakeup_pipe``  a named pipe by which writers wake the sender
``clients``      the processes that use a sender: it ends with the last of them
``sender``       ``python -m coordinator.airflow_plugin.sender``: the sender's process
``lossy_log``    the sender's log, which drops lines when the disk is full
``delivery``     delivers events from the outbox to etcd, in order, until the sender ends
``probing``      when parked events are tried again
``activity``     the runs that were delivered last
``announcing``   shows that the sender is alive: a key on a lease

The scheduler forks its workers, and gRPC does not survive a fork: ``plugin``, ``reporter`` and what they import run in
the scheduler, and import nothing of gRPC, etcd3, ``store`` or ``commands.report``. ``delivery`` and ``announcing`` do.
A test checks it.
"""
