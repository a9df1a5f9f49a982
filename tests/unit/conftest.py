"""Property tests: bounded by the number of examples, not by the clock of a busy machine."""

from __future__ import annotations

from hypothesis import settings

# Only where none is asked for: this is read after --hypothesis-profile, and would undo it. hypothesis takes "ci", with
# the same examples each time, by itself where the variable CI is set.
if settings.get_current_profile_name() == "default":
    settings.register_profile("coordinator", deadline=None)
    settings.load_profile("coordinator")
