"""Requests to environments: starting, clearing and asking about runs.

``port``     the operations that the watcher needs of any environment, and the outcomes of a request
``airflow``  Airflow 3 over its REST API v2: ``AirflowRunner``

Imports ``model``, ``config``, ``errors`` and ``boottime`` only. The watcher imports the port, and gets its runners as
arguments; nothing else imports from ``airflow`` below ``AirflowRunner``.
"""
