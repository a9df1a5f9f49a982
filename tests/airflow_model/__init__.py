"""What an Airflow holds, and what it answers: one model for the simulated worlds, the simulation and the stand-in.

``runs``         DAGs and runs, and how their states change; no thread, no clock of its own
``rest``         what the REST API v2 answers to a request, as far as the runner speaks it
``bodies``       the shape of its bodies
``recorded/``    what a real Airflow answered
``conversation`` the recorded requests, asked again: of the stand-in and of a real Airflow
"""
