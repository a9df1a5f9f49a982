"""A process that nobody waits for any more ends by itself."""

from __future__ import annotations

import subprocess
import sys


def test_a_process_ends_after_its_processor_time() -> None:
    program = "from coordinator.dags.limits import limit_processor\nlimit_processor(1)\nwhile True: pass"
    ended = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert ended.returncode < 0
