"""Finding the decisions that a change can alter, and making them again: upstreams first, in bounded pieces."""
