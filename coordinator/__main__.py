"""``python -m coordinator``, where the script is not on PATH."""

from coordinator.cli import main

main()
