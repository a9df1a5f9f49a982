"""``coordinator demo``: real things started and ended, a show played on them, and checked.

==================  =====================================================================================
``production``      from nothing to the show and back: files, stage, show, end
``stage``           an etcd, an Airflow and a watcher, up and down
``airflow``         a real Airflow on SQLite: three processes, one home, 127.0.0.1 (also for end-to-end tests);
                    with ``airflow_environment`` and ``airflow_api``, a small client of its REST API
``watcher``         ``coordinator watch`` as a process
``tether``          whatever way we end, what we started ends with us
``interruption``    Ctrl-C, but only where something waits
``plot``            what is to happen, out of the dependencies
``show``            the acts: begin one, follow it to its end, have it judged
``following``       etcd's changes, as they come
``chronicle``       what happened: who was asked to run and why, and what ran (pure)
``judging``         whether that is what was to happen (pure)
``wording``         the same as rows and sentences (pure); ``screen`` shows them, ``result`` is for programs
==================  =====================================================================================

Imports everything below it; only the command line imports it.
"""
