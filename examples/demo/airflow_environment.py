"""The environment variables of a small Airflow: SQLite, 127.0.0.1, quick to start and quick to react."""

from __future__ import annotations

import os
import secrets
from base64 import urlsafe_b64encode
from pathlib import Path


def airflow_environment(*, home: Path, dags_folder: Path, port: int, username: str, passwords: Path) -> dict[str, str]:
    """Ours, without what it would have inherited for another Airflow or another coordinator. Secrets are new ones.

    :param passwords: a JSON file, user to password.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        # PYTHONDONTWRITEBYTECODE: without .pyc files every command of Airflow takes 6 s instead of 2.6 s
        if not name.startswith(("AIRFLOW_", "_AIRFLOW", "COORDINATOR_")) and name != "PYTHONDONTWRITEBYTECODE"
    }
    url = f"http://127.0.0.1:{port}"
    airflow = {
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_FOLDER": str(dags_folder),
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "4",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{username}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
        "API__SECRET_KEY": secrets.token_hex(32),
        "API__HOST": "127.0.0.1",
        "API__PORT": str(port),
        "API__BASE_URL": url,
        "API__WORKERS": "1",
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
        "DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }
    return {
        **inherited,
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name}": value for name, value in airflow.items()},
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def waits_longer(home: Path) -> dict[str, str]:
    """For a component that ends when SQLite is locked for as long as it waits (5 s without this).

    Two requests at once that start runs may keep the API server from going on for these 5 s, with the lock in its
    hands: one of them is answered with 500 then. The scheduler, which waits beside it, is to outlast that.
    """
    return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db?timeout=30"}
