"""gRPC statuses, translated into the port's errors.

etcd3 translates four codes and passes the others on; and one code means several things in etcd
(RESOURCE_EXHAUSTED: too large, too many requests, or out of space), so that the text must be read too. The texts
are those of etcd's ``api/v3rpc/rpctypes/error.go``, the same from 3.4 to 3.6.
"""

from __future__ import annotations

import re
from typing import Any

from coordinator.store.port import (
    AccessDenied,
    AnswerTooLarge,
    Compacted,
    LeaseNotFound,
    StoreError,
    StoreUnavailable,
    TransactionTooLarge,
)

_TOKEN_REFUSED = (
    "invalid auth token",
    # A signed token (--auth-token=jwt) is refused after any change of users and roles: with the text of rpctypes,
    # or that of server/auth/store.go where the error is not translated (3.4 and 3.5).
    "revision of auth store is old",
    "revision in header is old",
    "user name is empty",
)
_DENIED = ("permission denied", "authentication failed", "user name not found", *_TOKEN_REFUSED)
_TOO_LARGE = ("request is too large", "too many operations", "message larger than max", "larger than max (")
_ANSWER_TOO_LARGE = re.compile(r"Received message larger than max \((\d+)")
"""The text of our gRPC library about an answer. A server writes ``received``, about a request."""
_OUT_OF_REACH = ("failed to connect to all", "errors resolving", "DNS resolution failed")
_BROKEN_OFF = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "INTERNAL", "ABORTED", "DATA_LOSS"}
)


def code_of(error: Any) -> str:
    """The name of the gRPC status of an RpcError."""
    return str(error.code().name)


def details_of(error: Any) -> str:
    return str(error.details() or "")


def without_frames(error: Any) -> Any:
    """The error of a call without its traceback.

    gRPC raises the call of a stream itself as its error. The frames of its traceback refer to it: a cycle that stays
    until the garbage collector runs. That is megabytes in an hour of failures, and a finalizer that runs at an
    arbitrary time in an arbitrary thread.
    """
    error.__traceback__ = None
    return error


def token_refused(details: str) -> bool:
    """Whether the token has expired, was issued by a server that has forgotten it, or is missing.

    The request was refused before anything was done, so it may be repeated.
    """
    return any(text in details for text in _TOKEN_REFUSED)


def never_sent(error: Any) -> bool:
    """Whether a request certainly did not reach a server, so that even a write may be sent to another one."""
    return hasattr(error, "code") and code_of(error) == "UNAVAILABLE" and _is_out_of_reach(details_of(error))


def timed_out(error: StoreError) -> bool:
    """Whether a request was sent and got no answer within its time limit."""
    cause: Any = error.__cause__
    return hasattr(cause, "code") and code_of(cause) == "DEADLINE_EXCEEDED"


def translate(error: Any, *, doing: str, endpoint: str, within: float | None = None) -> StoreError:
    """The port's error for a gRPC error.

    :param within: seconds that the request had.
    :param doing: what was attempted, for the message: ``listing /coordinator/``.
    """
    code, details = code_of(error), details_of(error)
    found = f"etcd {endpoint}, {doing}: {_in_words(code, details, within)}"
    if code == "OUT_OF_RANGE" and "compacted" in details:
        return Compacted(f"{found}; the history asked for is no longer kept, list again")
    if too_large := _ANSWER_TOO_LARGE.search(details):
        return AnswerTooLarge(f"{found}; ask for less at once", size=int(too_large.group(1)))
    if any(text in details for text in _TOO_LARGE):
        return TransactionTooLarge(f"{found}; nothing was written, split it up")
    if "lease not found" in details:
        return LeaseNotFound(f"{found}; nothing was written, a new lease is needed")
    if code in ("PERMISSION_DENIED", "UNAUTHENTICATED") or any(text in details for text in _DENIED):
        return AccessDenied(f"{found}; check etcd.username, its password, and the roles granted to it")
    if "database space exceeded" in details:
        return StoreUnavailable(f"{found}; compact, defragment and disarm the alarm (coordinator doctor shows it)")
    if code in _BROKEN_OFF or code == "RESOURCE_EXHAUSTED":
        if never_sent(error):
            return StoreUnavailable(f"{found}; nothing was sent; check that etcd runs and etcd.endpoints is right")
        return StoreUnavailable(f"{found}; a write may or may not have been applied")
    return StoreError(found)


def _is_out_of_reach(details: str) -> bool:
    return any(text in details for text in _OUT_OF_REACH)


def _in_words(code: str, details: str, within: float | None) -> str:
    """What has happened, in one line."""
    reason = " ".join(details.split())
    if code == "UNAVAILABLE" and _is_out_of_reach(reason):
        # "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:9: Failed to connect to remote host:
        # Connection refused"; "errors resolving name:2379: [field:hostname lookup error:...: Domain name not found]"
        return f"cannot be reached ({reason.rpartition(': ')[2].strip(' []')})"
    if code == "DEADLINE_EXCEEDED" and within is not None:
        return f"no answer within {within:g} s"
    return f"{code}: {reason}"
