"""Effects on environments: starting, clearing and asking about runs.

``port``     what the watcher needs of any environment
``airflow``  Airflow 3 over its REST API v2

Imports ``model``, ``settings`` and ``errors`` only.
"""
