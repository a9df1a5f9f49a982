"""Bounds on everything that comes from outside, each with its reason. The table for people: docs/security.md.

Other bounds are beside what they limit: windows (``partitions.windows.MEMBER_LIMIT``), offsets
(``partitions.offsets.MOST``), durations (``durations.LONGEST``).
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

ETCD_REQUEST: Final = 1536 * KIB
"""Bytes. etcd's default ``--max-request-bytes``; a larger transaction is refused."""

# Names

AIRFLOW_NAME: Final = 250
"""Characters of a dag_id and of a run_id. Airflow keeps both in columns of this length (``StringID``)."""

NAME: Final = 1000
"""Characters of a name in a key (an environment, a pipeline, a partition, an owner), and of a run_id in a run state.
Four times the limit of Airflow, for other writers; a longer name, which is in every record of the pipelines below,
would fill those records."""

# Values in etcd

RUN_STATE: Final = 64 * KIB
"""Bytes: no report about a run needs more."""

SMALL_VALUE: Final = 256 * KIB
"""Bytes of a hold, an order, an act, a watermark, a heartbeat, a presence, a sweep: a few names and a sentence each."""

REPORTER: Final = 16 * KIB
"""Bytes of a reporter's status: a few names, counts and times."""

REPORTERS: Final = 32
"""Reporters of an environment that are read: one for each scheduler and API server; any further one is a problem."""

RECORD: Final = 4 * MIB
"""Bytes of a trigger record that is read. etcd accepts :data:`ETCD_REQUEST`, unless it is configured otherwise."""

REASON: Final = 1000
"""Characters of the reason why a value cannot be read: it appears in log lines and in ``status``."""

# Asset events

ASSET_EXTRA: Final = 16 * KIB
"""Bytes of an event's ``extra`` as JSON that is handed on. Every watcher keeps those of the last weeks in memory."""

ASSET_EVENT: Final = RUN_STATE
"""Bytes of an asset event: its ``extra``, and names."""

ASSET_COMPLETION: Final = ETCD_REQUEST - 64 * KIB
"""Bytes of what has been emitted of an asset in a partition: all emissions that are kept fit, whatever their names."""

ASSET_URI: Final = 1500
"""Characters of a URI, and of a pattern of URIs. Airflow keeps URIs in a column of this length (``AssetModel.uri``)."""

ASSET_PATH: Final = 64
"""Environments that an event may have passed."""

BRIDGES: Final = 1000
"""Bridges of a document, each counted for every consumer and pattern. They are compared pair by pair."""

# dependencies.json

DOCUMENT: Final = 8 * MIB
"""Bytes of a dependency document. 50,000 dependencies need about 3 MB."""

DOCUMENT_DEPTH: Final = 64
"""Nesting of lists and objects. Also keeps ``json``, which recurses, far from its own limit."""

DEPENDENCIES: Final = 250_000
"""In a document: five times what one watcher is designed for. An owner must not hold up the others."""

PROBLEMS: Final = 1000
"""Problems of a document after which reading stops: a file of another kind is wrong in every line."""

PUBLICATION: Final = 16 * MIB
"""Bytes of a published document, decompressed: twice the largest file, for its activations."""

PUBLICATION_PARTS: Final = 1_500_000
"""Values in a published document: 250,000 dependencies with their activations have 1,250,000. The emptiest of them are
two bytes of JSON and 80 in memory."""

RETIRED: Final = 50_000
"""Dependencies of one owner that were taken out and may still resume: as many as one watcher is designed for. Each
takes a kilobyte in every watcher, and time whenever the document is read."""

PATTERN: Final = 250
"""Characters of an input or output format, of a time zone, and of a fixed partition."""

CONF: Final = 256 * KIB
"""Bytes of a pipeline's ``conf`` as JSON. It goes into each of its requests, and Airflow hands it to each task."""

TRIGGER_RECORD: Final = ETCD_REQUEST - 64 * KIB
"""Bytes of the largest trigger record that is written; the rest is for the transaction around it."""

ITEMS: Final = 5000
"""Rows of a partition over which a pipeline fans out: each is a run. Five times what is measured."""

ROWS: Final = 512 * KIB
"""Bytes of the rows of a partition. They are a part of the trigger record, beside the inputs."""

# Settings and files

CONFIGURATION: Final = MIB
"""Bytes of coordinator.toml."""

SECONDS: Final = 366 * 86400.0
"""The longest duration in seconds that a setting accepts. Python's waits fail beyond 292 years, and a much shorter
pause is a mistake already."""

REQUEST_SECONDS: Final = 3600.0
"""The longest time limit of a request. The watcher's lease has to outlive a request."""

OUTBOX_EVENT: Final = 2 * RUN_STATE
"""Bytes of a file in the outbox: a run state, and its target."""

# Answers of Airflow

ANSWER: Final = 4 * MIB
"""Bytes of an answer that are read, decompressed: enough for a run with 20,000 inputs named in its conf. A larger page
of runs is requested again in smaller pages."""

ANSWER_PARTS: Final = 150_000
"""Values in an answer: 20,000 inputs have 120,000. Each takes about a hundred bytes while the answer is read, and may
have two in the answer."""

TASK_INSTANCES: Final = 4096
"""Instances of one task that are read. Airflow's own ``[core] max_map_length`` is 1024."""

ANSWER_HEAD: Final = 64 * KIB
"""Bytes of the status line and headers of an answer. Proxies have 8 KiB for them by default."""

RETRY_AFTER: Final = 60.0
"""Seconds for which one answer can pause an environment, whatever its ``Retry-After``. Looks and starts both wait, and
one question a minute does no harm."""

DETAIL: Final = 500
"""Characters of an answer that go into a record, a log line or a message."""
