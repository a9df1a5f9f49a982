"""One reading of etcd for the commands that show: what the watcher would decide on it, and what that means.

``reading``          reads what a question is about, and decides about it
``wanted_keys``      which keys that is
``partition_names``  which partitions there are, told by the names of keys alone
``attention``        what keeps partitions from running, where it begins, and what waits behind it
``waiting_reasons``  which limits keep something waiting that is due now
``preview``          what a watcher that began to lead now would do at once
"""
