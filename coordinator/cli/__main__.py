"""``python -m coordinator.cli``, where the script is not on PATH."""

from coordinator.cli.application import main

main()
