"""Worlds: environments with runs, people who clear them, and a coordinator, all under a test's control.

``cases``      the cases of the rule, each a script of what happens and what must follow
``condition_cases``, ``partition_cases``, ``people_cases``, ``retention_cases``  more cases, by topic
``graphs``, ``stories``  random graphs; the stories of docs/examples
``world``      what such a script can do
``etcd_world``  the common part of worlds on an etcd
``simulated``  a world in memory with virtual time: the real rule, reconciler and store port; ``simulated_airflow``
``real``       the same world on a real etcd and HTTP servers
"""
