"""A stand-in Airflow: the model (:mod:`tests.airflow_model`) behind HTTP, with logins, faults and a scheduler.

``airflow``   the server: ``StandInAirflow``, also ``python -m tests.standin.airflow``
``login``     users, tokens, roles
``scheduler`` runs that begin and end by themselves
``reports``   who hears of their states
``faults``    what may go wrong with the next request
``cdap``      a stand-in CDAP: ``StandInCdap``
``http11``    the least HTTP/1.1 that a benchmark can be measured through
"""
