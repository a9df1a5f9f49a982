"""Starting real things for the demo and for end-to-end tests.

``airflow``      a real Airflow on SQLite: three processes, one home, 127.0.0.1
``airflow_api``  a small client of its REST API
``tether``       whatever way we end, what we started ends with us
"""
