"""From a template and values to Python code, in a process of its own (docs/dags.md#templates).

``child``       that process, which loads nothing but this package and Jinja2
``templates``   the environment of Jinja2: nothing undefined, nothing random, nothing but the values
``expressions`` the filter ``literal``, and what an expression may write
``compiling``   whether an output is Python, and makes the DAG of its entry and no other
``dag_ids``     the DAGs that a Python file makes, as far as its text shows
"""
