"""The HTTP listener of a watcher: health now, and whatever else is given to it as routes.

=============  ============================================================================
``listener``   connections: accepts, bounds, TLS, one request each
``messages``   a request read within bounds, an answer written
``routes``     the table: which path answers what, and to whom
``rights``     who asks: what a token, a certificate or this machine allows
``tls``        certificates, read again when they change
``health``     the routes ``/healthz`` and ``/readyz``
=============  ============================================================================

http.server is not used: it bounds neither the number of connections nor the time of a request, and its own
documentation advises against it in production.
"""

from coordinator.controller.http.health import health_routes
from coordinator.controller.http.listener import HttpListener
from coordinator.controller.http.messages import Answer, Request
from coordinator.controller.http.routes import Access, Route

__all__ = ["Access", "Answer", "HttpListener", "Request", "Route", "health_routes"]
