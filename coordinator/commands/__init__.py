"""The operations of people and programs, one module for each; the command line calls them, and other programs may.

``report``   reports a run state            ``inputs``  reads the completions that a run uses
``publish``  publishes a document           ``hold``    holds and releases pipelines
``order``    orders reruns and releases     ``mark``    sets a run state by a person's decision
``fill``     fills gaps                     ``forget``  deletes partitions
``emit``     writes an asset event          ``write_wait``  writes the wait of a sensor

Each writes one transaction with an entry under ``acts/`` (``acts``), except ``report``, ``emit``, ``write_wait`` and
``publish``, which write no act, and ``inputs``, which only reads. ``publish`` uses ``proposal`` (what a document
would change, and its transaction) and ``impact`` (the waiting work that it would affect); ``publication_history``
reads earlier publications.
"""
