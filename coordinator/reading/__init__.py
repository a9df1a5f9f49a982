"""One reading of etcd for the commands that show something: the decisions of the watcher on it, and what they mean.

``reading``          reads the keys that a question needs, and decides about them
``wanted_keys``      which keys a question needs
``partition_names``  which partitions exist, by the names of keys alone
``attention``        the causes that keep partitions from running, and what waits behind each
``limit_reasons``    which limits make a due target wait
``waiting_sensors``  why sensors wait, and what helps
``preview``          what a watcher would do at once if it began to lead now
"""
