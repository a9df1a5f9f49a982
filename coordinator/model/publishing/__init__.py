"""Publishing dependencies: what a document changes, whether it is the newer one, and what is refused."""
