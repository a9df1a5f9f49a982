"""ruff's rules for Airflow (https://docs.astral.sh/ruff/rules/#airflow-air), as ruff's own configuration has them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from coordinator.dags.finding import Finding
from coordinator.errors import ConfigurationError

_PREFIX: Final = "AIR"
READS_VARIABLES: Final = "AIR003"
_OF_PREVIEW: Final = (READS_VARIABLES, "AIR304")
"""Rules that ruff still calls a preview: reading Variables outside of tasks, and what differs at each import."""
SINCE: Final = "0.15.6"
"""An older ruff does not know them; the extra ``dags`` asks for this one."""


def ruff_command() -> list[str] | None:
    """How to run ruff; ``None``: it is not installed."""
    if find_spec("ruff") is not None:
        return [sys.executable, "-m", "ruff"]
    found = shutil.which("ruff")
    return [found] if found is not None else None


def airflow_rules(command: Sequence[str], files: Sequence[Path]) -> list[Finding]:
    """What ruff finds. What its configuration ignores (``ignore``, ``noqa``) is left out.

    :raises ConfigurationError: ruff cannot be run, or its configuration is wrong.
    """
    if not files:
        return []
    ended = subprocess.run(
        [
            *command,
            "check",
            "--no-cache",
            "--output-format=json",
            f"--extend-select={','.join((_PREFIX, *_OF_PREVIEW))}",
            "--preview",
            "--config=lint.explicit-preview-rules=true",
            "--",
            *map(str, files),
        ],
        capture_output=True,
        check=False,
    )
    if ended.returncode not in (0, 1):
        said = ended.stderr.decode(errors="replace").strip()
        raise ConfigurationError(
            f"ruff ended with {ended.returncode}: {said}; correct its configuration, or install ruff {SINCE} or later"
        )
    names = {str(one.absolute()): str(one) for one in files}
    return [_finding(one, names) for one in json.loads(ended.stdout) if (one["code"] or "").startswith(_PREFIX)]


def _finding(told: dict[str, Any], names: dict[str, str]) -> Finding:
    code, fix = told["code"], told["fix"] or {}
    file = names.get(told["filename"], told["filename"])
    remedy = fix.get("message") or f"'ruff rule {code}' explains it"
    return Finding(file, told["location"]["row"], code, told["message"], remedy)
