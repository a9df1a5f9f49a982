"""Property tests: bounded by the number of examples, not by the clock of a busy machine."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("coordinator", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("coordinator")
