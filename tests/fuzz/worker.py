"""One target under atheris, in a process of its own: ``python -m tests.fuzz.worker TARGET --work DIR --seconds N``.

Ends with 0 when the time is over, with another status at the first input that breaks something; atheris prints the
traceback, and the input is kept in ``DIR/TARGET.findings/``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import atheris
import structlog

from tests.fuzz.target import MEGABYTES, SECONDS, Target


def main() -> None:
    """Fuzz; does not return."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    options = parser.parse_args()
    with atheris.instrument_imports(include=["coordinator"]):
        from tests.fuzz.registry import TARGETS
    for variable in [name for name in os.environ if name.startswith("COORDINATOR_")]:
        del os.environ[variable]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    target = TARGETS[options.target]
    atheris.Setup([sys.argv[0], *_flags(target, options.work, options.seconds)], target.check)
    atheris.Fuzz()


def _flags(target: Target, work: Path, seconds: int) -> list[str]:
    grown, findings = work / target.name, work / f"{target.name}.findings"
    dictionary = work / f"{target.name}.dict"
    for directory in (grown, findings):
        directory.mkdir(parents=True, exist_ok=True)
    dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words if word))
    seeds = [str(directory) for directory in (target.corpus, target.found) if directory.is_dir()]
    return [
        f"-max_total_time={seconds}",
        f"-timeout={SECONDS}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-max_len={target.max_length}",
        f"-dict={dictionary}",
        f"-artifact_prefix={findings}/",
        "-print_final_stats=1",
        str(grown),  # the first one takes what is new
        *seeds,
    ]


def _escaped(word: str) -> str:
    plain = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+. ")
    return "".join(chr(byte) if byte in plain else f"\\x{byte:02x}" for byte in word.encode("utf-8", "replace"))


if __name__ == "__main__":
    main()
