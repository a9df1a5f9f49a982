"""``make demo``: a wave and a cascade in one or two real Airflows, with an etcd and a watcher of their own.

=======================  =========================================================================
``__main__``             options, exit codes, the directory with the logs
``story``                the steps of the demo
``checks``               whether each pipeline ran as often as it should (pure)
``parts``                the etcd, the Airflows and the watcher
``airflow``              a real Airflow on SQLite, for end-to-end tests too; with
                         ``airflow_environment`` and ``airflow_api``
``orphan_guard``         ends all processes, even after ``kill -9``
``interruption``         handles Ctrl-C
=======================  =========================================================================
"""
