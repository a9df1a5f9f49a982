"""What stands in etcd, as far as this watcher has read it: facts by target, and what is wrong with keys."""
