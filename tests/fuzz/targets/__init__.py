"""What is fuzzed: each reader of foreign input, with the check that must pass for any bytes."""
