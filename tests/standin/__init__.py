"""A stand-in Airflow: the part of the REST API v2 that the runner speaks, with runs that tests move by hand.

``airflow``   the server: ``StandInAirflow``, also ``python -m tests.standin.airflow``
``rest``      its routes
``login``     users, tokens, roles
``dagruns``   the runs behind it, and their states
``bodies``    the shape of its answers
``faults``    what may go wrong with the next request
``http11``    the least HTTP/1.1 that a benchmark can be measured through
``recorded/`` what a real Airflow answered; ``tests/integration/runners`` holds the stand-in to it
"""
