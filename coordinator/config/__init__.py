"""Settings: ``coordinator.toml``, environment variables, and credentials by reference."""

CONFIG_VARIABLE = "COORDINATOR_CONFIG"
"""Names the configuration file, where it is not named otherwise."""
