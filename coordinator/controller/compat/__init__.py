"""Keys of other systems that are read as run states. Every watcher does this: reports are idempotent."""
