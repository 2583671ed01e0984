"""The deadlines of one connection, pure: which is nearest, and which has come."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

_NEVER: Final = float("inf")


class Due(Enum):
    """In the order in which they are looked at: an end comes before a ping."""

    HANGUP = auto()
    CONNECT = auto()
    EXPIRY = auto()
    PONG = auto()
    SUBSCRIPTION = auto()
    PING = auto()


class Deadlines:
    """Loop times, 0 for none. One thing is due at a time; who has dealt with it sets the next.
    `unanswered`: pings that the client may answer; `pong` is the time for the first of them."""

    __slots__ = ("connect", "expiry", "hangup", "ping", "pong", "subscription", "unanswered")

    def __init__(self, connect: float) -> None:
        self.connect = connect
        self.expiry = self.pong = self.subscription = self.ping = self.hangup = 0.0
        self.unanswered = 0

    def expect_pong(self, by: float) -> None:
        self.unanswered += 1
        self.pong = self.pong or by

    def take_pong(self, next_by: float) -> bool:
        """False: no ping waits for one. `next_by`: for the later ones that still do."""
        if not self.unanswered:
            return False
        self.unanswered -= 1
        self.pong = next_by if self.unanswered else 0.0
        return True

    def end(self, hangup: float) -> None:
        """Of a closing connection the client's answer alone is waited for; 0: not even that."""
        self.connect = self.expiry = self.pong = self.subscription = self.ping = 0.0
        self.hangup = hangup

    def expect_expiry(self, subscription: float) -> None:
        """One deadline for all subscriptions, that of the first to expire."""
        if subscription:
            self.subscription = min(self.subscription or subscription, subscription)

    def nearest(self) -> float | None:
        # Spelt out: each new connection asks three times, and thousands come at once.
        nearest = min(
            self.ping or _NEVER,
            self.pong or _NEVER,
            self.connect or _NEVER,
            self.expiry or _NEVER,
            self.subscription or _NEVER,
            self.hangup or _NEVER,
        )
        return None if nearest == _NEVER else nearest

    def due(self, now: float) -> Due | None:
        for name, due in _NAMES.items():
            time = getattr(self, name)
            if time and now >= time:
                return due
        return None


_NAMES: Final = {due.name.lower(): due for due in Due}
