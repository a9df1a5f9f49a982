"""The service: from a change in etcd to a run started exactly once.

How a completion becomes a trigger, and the file that holds each step::

    etcd --list+watch--> cache --what changed--> model.standings --decisions--> reconciler
                                                                                   |
         look (looks)  <-- ask the environments about the runs behind the inputs --+
         intent (writes, records) <-- one fenced transaction ----------------------+
         effect (lanes) <-- a bounded pool per environment, the lease checked -----+
         outcome (reconciler) <-- sent, blocked, withdrawn or asked again ---------+
         end (reconciler, following) <-- reported, or followed through REST -------+

One thread decides and writes (``service`` runs it); the reflector, the lease and the environments' requests
have threads of their own and talk to it through a mailbox (``messages``). Nothing depends on having seen an
event: everything is decided from the present state.
"""
