"""Airflow 3 over its REST API v2, and Airflow 2 over its v1.

``runner``          implements the port with the modules below
``starting``        sends triggers and clears; interprets the answers, and asks when an answer is ambiguous
``looking``         reads many runs in few requests
``changes``         reads which runs have changed since a moment
``checking``        the checks of ``doctor``
``tasks``           reads many tasks in few requests
``dialect``         what differs between the two versions
``client``          one request and its answer
``route``           proxy, certificates and connection, for one thread
``authentication``  the Authorization header, and when to renew it
``google``          tokens of Google Cloud, for Composer
``mwaa``            requests inside requests to AWS, for Amazon MWAA
``answers``         the models of Airflow's answers, and their validation
``listing``         finds many exact names with a list that only filters by prefix
``deadline``        one deadline for a whole exchange, enforced at the socket
``head``            a bound on the headers of an answer

The only public name is ``AirflowRunner``.
"""

from coordinator.runners.airflow.runner import AirflowRunner

__all__ = ["AirflowRunner"]
