"""What a DAG file may not do when Airflow imports it, which it does again and again (docs/dags.md#lint).

``checking``      ``lint``: all of it, for a directory
``airflow_rules`` ruff's rules for Airflow
``importing``     imports each file, in processes in which it can do no harm
``import_child``  such a process, for any Python that has Airflow

Import from here: the modules are private to this package.
"""

from coordinator.dags.linting.checking import Linted, lint

__all__ = ["Linted", "lint"]
