"""A real S3-compatible server: moto's, in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests


@contextmanager
def s3_server(log: Path) -> Iterator[str]:
    """Start one, with a bucket ``bucket``. Its address; it is ended afterwards. :param log: what it says."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", "0"], stdout=output, stderr=output
        )
    try:
        url = _address(process, log)
        assert requests.put(f"{url}/bucket", timeout=30).ok
        yield url
    finally:
        process.terminate()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """As soon as it says that it listens."""
    until = time.monotonic() + 60
    while not (found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text())):
        assert process.poll() is None, f"moto's server ended: {log.read_text()}"
        assert time.monotonic() < until, f"moto's server does not listen: {log.read_text()}"
        time.sleep(0.02)
    return found[1]
