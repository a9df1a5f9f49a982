"""From a configuration to DAG files (docs/dags.md#generate).

``rendering``  ``render``: every entry in every environment, each within limits
``outputs``    ``compare``: what would change on disk
``writing``    ``write``: changes it

Import from here: the modules are private to this package.
"""

from coordinator.dags.generating.outputs import Action, Change, Comparison, compare, same_dag_elsewhere
from coordinator.dags.generating.rendering import Rendered, render
from coordinator.dags.generating.writing import write

__all__ = ["Action", "Change", "Comparison", "Rendered", "compare", "render", "same_dag_elsewhere", "write"]
