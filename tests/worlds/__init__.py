"""Worlds: environments with runs, people who clear them, and a coordinator, all under a test's control.

``cases``      the cases of the design, each a script of what happens and what must be seen
``world``      what such a script can do
``etcd_world``  what worlds on an etcd share
``simulated``  a world in memory with virtual time: the real rule, reconciler and store port
``real``       the same world on a real etcd and HTTP servers
"""
