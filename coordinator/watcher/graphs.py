"""One graph out of all published dependency documents: see ``coordinator.model.owners``."""

from coordinator.model.owners import merge

__all__ = ["merge"]
