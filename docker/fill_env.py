"""Writes .env from .env.example, with a random secret of its own for each variable.

An .env that is there is left alone: its passwords stand in the databases that were made with them.
"""

import base64
import os
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def filled(line: str) -> str:
    """A line of the example; a variable without a value gets one."""
    name, _, value = line.partition("=")
    if line.startswith("#") or not name or value:
        return line
    if name.endswith("FERNET_KEY"):
        return f"{name}={base64.urlsafe_b64encode(os.urandom(32)).decode()}"
    return f"{name}={secrets.token_urlsafe(36)}"


lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()[1:]
try:
    with open(os.open(ROOT / ".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write("".join(f"{filled(line)}\n" for line in lines))
except FileExistsError:
    sys.exit(f"{ROOT / '.env'} is there, and stays as it is; to begin anew: docker compose down --volumes; rm .env")
print(f"wrote {ROOT / '.env'}")
