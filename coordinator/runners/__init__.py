"""Effects on environments: starting, clearing and asking about runs.

``port``     what the watcher needs of any environment, and the outcomes that a request can have
``airflow``  Airflow 3 over its REST API v2: ``AirflowRunner``

Imports ``model``, ``settings`` and ``errors`` only. The watcher imports the port, and gets its runners from
whoever reads the settings; nothing else imports from ``airflow`` below ``AirflowRunner``.
"""
