"""Codes of the realtime protocol, what SDKs do about each, and which of them an AppError becomes.

Errors answer one command. Unsubscribe codes end one subscription, disconnect codes the connection.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from config.errors import AppError


class Code(NamedTuple):
    """`retried`: SDKs try again by themselves (an error: with backoff; an end: subscribe again,
    connect again). `sent` False: reserved by the protocol, this server never says it."""

    number: int
    reason: str
    retried: bool
    meaning: str
    sent: bool = True


ERRORS: Final = (
    Code(100, "internal server error", True, "it failed here or took too long"),
    Code(101, "unauthorized", False, "guests may connect, so nobody is told to sign in", False),
    Code(102, "unknown channel", False, "no such namespace or no such content"),
    Code(103, "permission denied", False, "not allowed, or the token is for something else"),
    Code(104, "method not found", False, "no such rpc method"),
    Code(105, "already subscribed", False, "one subscription a channel and connection"),
    Code(106, "limit exceeded", False, "too many channels, or too much data"),
    Code(107, "bad request", False, "a name, data or field that can't be"),
    Code(108, "not available", False, "the channel's namespace does not have it"),
    Code(109, "token expired", False, "fetch another token; SDKs do where they can"),
    Code(110, "expired", False, "109 is said instead", False),
    Code(111, "too many requests", True, "the rate limit of the account or address"),
    Code(112, "unrecoverable position", False, "that position is not kept; read everything anew"),
    Code(113, "concurrent pagination", True, "there is no such pagination here", False),
)
UNSUBSCRIBES: Final = (
    Code(2000, "server unsubscribe", False, "by the server, or the permission is gone"),
    Code(2500, "insufficient state", True, "continuity was lost; recovers or reads anew"),
    Code(2501, "subscription expired", True, "its token was not refreshed in time"),
    Code(2502, "state invalidated", True, "as 2500, and drops token and position", False),
)
DISCONNECTS: Final = (
    Code(3000, "connection closed", True, "the transport is closed without a word", False),
    Code(3001, "shutdown", True, "this gateway stops; another one is there"),
    Code(3004, "internal server error", True, "it failed here"),
    Code(3005, "connection expired", True, "no new token in time; connects with a new one"),
    Code(3006, "subscription expired", True, "2501 is pushed instead", False),
    Code(3008, "slow", True, "too much lay unsent; recovers what was missed"),
    Code(3009, "write error", True, "nobody would hear it", False),
    Code(3010, "insufficient state", True, "a server-side subscription lost continuity"),
    Code(3011, "force reconnect", True, "the server API asks for it"),
    Code(3012, "no pong", True, "a ping was not answered in time"),
    Code(3013, "too many requests", True, "went on in spite of many errors 111"),
    Code(3014, "state invalidated", True, "the server API may ask for it", False),
    Code(3500, "invalid token", False, "forged, or of another user"),
    Code(3501, "bad request", False, "not the protocol"),
    Code(3502, "stale", False, "no connect command in time"),
    Code(3503, "force no reconnect", False, "signed out, suspended, or by the server API"),
    Code(3504, "connection limit", False, "a gateway that is full answers HTTP 503", False),
    Code(3505, "channel limit", False, "more server-side subscriptions than a connection may have"),
    Code(3506, "inappropriate protocol", False, "an encoding that this endpoint does not speak"),
    Code(3507, "permission denied", False, "guests may connect", False),
    Code(3508, "not available", False, "whatever there is is there for all", False),
    Code(3509, "too many errors", False, "hundreds of bad commands within a minute"),
)
_REASONS: Final = {c.number: c for c in (*ERRORS, *DISCONNECTS)}


class ReplyError(Exception):
    """The answer to one command; `temporary` makes the SDK try again with backoff."""

    def __init__(self, code: int, message: str, temporary: bool = False) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.temporary = temporary


class Disconnect(Exception):
    """The end of the connection. `reason` < 124 bytes (RFC 6455, 5.5.1: payload of a close)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


# ---------------------------------------------------------------- errors


def _error(number: int) -> ReplyError:
    code = _REASONS[number]
    return ReplyError(number, code.reason, code.retried)


def internal() -> ReplyError:
    return _error(100)


def unknown_channel() -> ReplyError:
    return _error(102)


def permission_denied() -> ReplyError:
    return _error(103)


def method_not_found() -> ReplyError:
    return _error(104)


def already_subscribed() -> ReplyError:
    return _error(105)


def limit_exceeded() -> ReplyError:
    return _error(106)


def bad_request() -> ReplyError:
    return _error(107)


def not_available() -> ReplyError:
    return _error(108)


def token_expired() -> ReplyError:
    return _error(109)


def too_many_requests() -> ReplyError:
    return _error(111)


def unrecoverable_position() -> ReplyError:
    return _error(112)


_BY_APP_ERROR: Final = {
    "invalid": bad_request,
    "too_large": bad_request,
    "unauthenticated": permission_denied,
    "not_permitted": permission_denied,
    "suspended": permission_denied,
    "locked": permission_denied,
    "not_found": unknown_channel,
    "token_expired": token_expired,
    "rate_limited": too_many_requests,
}

# Codes that say a member may not read a channel, in contrast to "could not find out".
DENIALS: Final = frozenset(
    code for code, error in _BY_APP_ERROR.items() if error in (permission_denied, unknown_channel)
)


def refused_connection(error: AppError) -> Disconnect | None:
    """The end of a connection that may not follow its own channel; None: nobody could say."""
    if error.code not in DENIALS:
        return None
    return suspended() if error.code == "suspended" else invalid_token()


def reply_error(error: ReplyError | AppError) -> ReplyError:
    if isinstance(error, ReplyError):
        return error
    return _BY_APP_ERROR.get(error.code, internal)()


# ---------------------------------------------------------------- ends

UNSUBSCRIBE_DENIED: Final = (2000, "permission denied")
UNSUBSCRIBE_INSUFFICIENT: Final = (2500, "insufficient state")
UNSUBSCRIBE_EXPIRED: Final = (2501, "subscription expired")


def _end(number: int) -> Disconnect:
    return Disconnect(number, _REASONS[number].reason)


def shutdown() -> Disconnect:
    return _end(3001)


def server_error() -> Disconnect:
    return _end(3004)


def expired() -> Disconnect:
    return _end(3005)


def slow() -> Disconnect:
    return _end(3008)


def insufficient_state() -> Disconnect:
    return _end(3010)


def no_pong() -> Disconnect:
    return _end(3012)


def flood() -> Disconnect:
    return _end(3013)


def invalid_token() -> Disconnect:
    return _end(3500)


def malformed() -> Disconnect:
    return _end(3501)


def stale() -> Disconnect:
    return _end(3502)


def session_ended() -> Disconnect:
    return Disconnect(3503, "session ended")


def suspended() -> Disconnect:
    return Disconnect(3503, "suspended")


def channel_limit() -> Disconnect:
    return _end(3505)


def inappropriate_protocol() -> Disconnect:
    return _end(3506)


def too_many_errors() -> Disconnect:
    return _end(3509)
