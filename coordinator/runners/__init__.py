"""Requests to environments: starting, clearing and asking about runs.

``port``        the operations that the watcher needs of any environment, and the outcomes of a request
``making``      the runner of an environment, of whatever kind it is
``airflow``     Airflow over its REST API: ``AirflowRunner``
``datafusion``  pipelines of Cloud Data Fusion, and of any CDAP: ``DataFusionRunner``
``command``     programs of this host: ``CommandRunner``, the worked example of docs/runners.md
``partitions``  partitions that an environment does not take
``testing``     the conversations that every runner must be able to have, as a test kit

Imports ``model``, ``config``, ``errors``, ``boottime`` and ``store.process_id`` only. The watcher imports the port, and
gets its runners as arguments.
"""
