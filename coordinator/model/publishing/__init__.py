"""Publishing dependencies: what a document changes, whether it is newer, and what is refused."""
