"""A stand-in Airflow: the part of the REST API v2 that the runner uses, with runs that tests control.

``airflow``   the server: ``StandInAirflow``, also ``python -m tests.standin.airflow``
``rest``      its routes
``login``     users, tokens, roles
``dagruns``   the runs behind it, and their states
``bodies``    the shape of its answers
``faults``    what may go wrong with the next request
``http11``    a minimal HTTP/1.1 server, fast enough for benchmarks
``recorded/`` what a real Airflow answered; ``tests/integration/runners`` holds the stand-in to it
"""
