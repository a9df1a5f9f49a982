"""What people and programs do, one file a verb; the command line calls these, and so may other programs.

``report``   a run state             ``inputs``  what a run stands on
``publish``  a dependency document   ``hold``    pipelines, and releasing them
``order``    reruns and releases     ``mark``    a run state by a person's word
``fill``     gaps                    ``forget``  partitions

Each writes one transaction with an entry under ``acts/`` (``acts``), but for ``report`` and ``inputs``.
"""
