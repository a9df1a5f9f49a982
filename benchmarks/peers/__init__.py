"""Beside the ways that Airflow itself has: the same graph by each, in one Airflow, one wave after the other."""
