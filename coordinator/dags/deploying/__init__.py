"""From a directory to another one, or to an object store (docs/dags.md#deploy).

``source``    the files of a directory
``target``    where they go, by fsspec
``records``   what stands in the target about what was deployed: the manifest, and the claim of a deploy under way
``left_over`` what a deploy that was ended has left behind; a pure function
``planning``  ``make_plan``: what would change, and what is in the way; a pure function
``differences``  what stands in the target in place of what is to be deployed
``deploy``    ``look`` and ``carry_out``: the steps, each of which may be the last

Import from here: the modules are private to this package.
"""

from coordinator.dags.deploying.deploy import Deployment, carry_out, look, require_nobody, require_same_origin
from coordinator.dags.deploying.differences import differences
from coordinator.dags.deploying.planning import Action, Change, Plan
from coordinator.dags.deploying.source import read_source
from coordinator.dags.deploying.target import Target, open_target
from coordinator.dags.errors import DeployError, TargetRefused, TargetUnavailable

__all__ = [
    "Action",
    "Change",
    "DeployError",
    "Deployment",
    "Plan",
    "Target",
    "TargetRefused",
    "TargetUnavailable",
    "carry_out",
    "differences",
    "look",
    "open_target",
    "read_source",
    "require_nobody",
    "require_same_origin",
]
