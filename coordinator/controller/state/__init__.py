"""The contents of etcd, as far as this watcher has read them: facts by target, and problems with keys."""
