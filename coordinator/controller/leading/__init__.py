"""What a watcher does because it leads, or to publish: terms, catching up, the dependencies file, checks of DAGs."""
