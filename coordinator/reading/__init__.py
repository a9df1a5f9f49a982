"""One reading of etcd for what shows something, a command or the page: the decisions of the watcher on it, and their
meaning.

``reading``          reads the keys that a question needs, and decides about them
``following``        a reading of everything that is kept up to date
``wanted_keys``      which keys a question needs
``naming``           which pipeline and partition somebody means
``partition_names``  which partitions exist, by the names of keys alone
``explaining``       the explanation of a partition; ``task_explained``: of a task; ``newest``: of the newest partitions
``moments``          at which revisions an explanation has changed
``unmet_notes``      dependencies that can hardly be met
``gaps``             partitions in which a pipeline has not run on what is there
``partition_graph``  what depends on what in one partition, and how each stands
``history``          what people did, and what was published
``attention``        the causes that keep partitions from running, and what waits behind each
``replicas``         who leads, and the other watchers; ``files``: their dependencies files
``reporters_heard``  which environments are heard from
``problems``         what else is wrong: ``stale_requests``, ``misplaced_states``, ...
``status_json``      concerns and partitions for programs
``limit_reasons``    which limits make a due target wait
``waiting_sensors``  why sensors wait, and what helps
``preview``          what a watcher would do at once if it began to lead now
"""
