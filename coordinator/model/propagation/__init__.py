"""Which decisions a change can alter, and making those anew: upstreams first, in bounded pieces."""
