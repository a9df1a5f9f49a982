"""The service: from a change in etcd to a run started exactly once.

How a completion becomes a trigger, and the file that holds each step::

    etcd -> reflector -> mailbox -> intake, cache      what etcd tells becomes facts
         -> model.standings, model.decide              what follows from them
         -> work_queue                                 which targets to examine
         -> model.lifecycle (next_step)                what to do next about one: a pure function
         -> reconcile                                  does it
         -> ledger, writes                             one fenced transaction
         -> dispatcher, jobs                           a bounded number of requests to each environment
         -> outcome -> work_queue

One thread decides and writes (``service`` runs it; ``reconciler`` is its core, without threads). The reflector, the
lease and the environments' requests have threads of their own, and talk to it through the mailbox (``messages``).
Nothing depends on having seen an event: everything is decided from the present state.
"""
