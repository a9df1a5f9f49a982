"""Writes the passwords file of Airflow's SimpleAuthManager from a variable, so that it stands in no file of ours."""

import json
import os
from pathlib import Path

file = Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
file.touch(mode=0o600)
file.write_text(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))
