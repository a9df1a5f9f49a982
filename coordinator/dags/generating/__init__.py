"""From a configuration to DAG files (docs/dags.md#generate).

``rendering``   ``render``: every entry in every environment, in a process of its own with limits
``child``       that process
``templates``   the environment of Jinja2: nothing undefined, nothing random, nothing but the values
``expressions`` the filter ``literal``, and what an expression may write
``compiling``   whether an output is Python, and makes the DAG of its entry and no other
``dag_ids``     the DAGs that a Python file makes, as far as its text shows
``outputs``     ``compare``: what would change on disk
``writing``     ``write``: changes it

Import from here: the modules are private to this package.
"""

from coordinator.dags.generating.outputs import Action, Change, Comparison, compare, same_dag_elsewhere
from coordinator.dags.generating.rendering import Rendered, render
from coordinator.dags.generating.writing import write

__all__ = ["Action", "Change", "Comparison", "Rendered", "compare", "render", "same_dag_elsewhere", "write"]
