"""The service: from a change in etcd to a run started exactly once.

How a completion becomes a trigger, and the file that holds each step::

    etcd -> store.reflector -> inbox
         -> state.cache                                changes become facts
         -> reconcile.event_handling                   which decisions these facts can change
         -> model.propagation.propagation, model.decide  decides about those targets
         -> queue.work_queue                           which targets to examine
         -> reconcile.examiner                         examines one of them
         -> model.lifecycle (next_step)                the next step of one target, by a pure function
         -> reconcile.reconcile                        executes the step
         -> reconcile.ledger, reconcile.writer, writes  one fenced transaction
         -> dispatch.dispatcher                        a bounded number of requests to each environment
         -> outcome -> inbox

One thread decides and writes (``service`` runs it; ``reconciler`` is its core, without threads, made of the parts that
``building`` connects). The reflector, the lease and the environments' requests have threads of their own, and talk to
it through the inbox.

Nothing depends on having seen an event: everything is decided from the present state.
"""
