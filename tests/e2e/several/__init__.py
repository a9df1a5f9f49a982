"""Tests of one graph over several real Airflows: 3.3 on PostgreSQL, 3.3 on SQLite, 2.11 on SQLite."""
