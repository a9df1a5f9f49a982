"""Airflow 3 over its REST API v2.

``runner``          the port's methods, put together
``starting``        what each answer to a trigger or a clear means; asking when it does not say
``looking``         many runs in few requests
``checking``        what ``doctor`` wants to know
``client``          one request and its answer; sessions
``authentication``  the Authorization header, and when to renew it
``answers``         the shape of what Airflow says, checked at the border
``listing``         many exact names out of a list that only filters by prefix
``deadline``        one bound for a whole conversation, down to the socket
``head``            one bound for the headers of an answer

The only public name is ``AirflowRunner``.
"""

from coordinator.runners.airflow.runner import AirflowRunner

__all__ = ["AirflowRunner"]
