"""Settings: ``coordinator.toml``, environment variables, and credentials by reference."""
