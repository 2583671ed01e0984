"""Bounds how long one connection may go on doing wrong."""

from __future__ import annotations

from typing import Final

from serve_app.gateway import codes
from serve_app.gateway.codes import Disconnect

MOST_FAULTS: Final = 256
"""Of each kind within the window: twice the commands that may be in flight at once."""
WINDOW_SECONDS: Final = 60.0
FREE_PER_SECOND: Final = 100.0
FREE_BURST: Final = 1_000
"""Of commands that no rate limit counts; a client that leaves all its channels sends 128."""
_BAD: Final = frozenset({102, 104, 105, 107, 108})
_TOO_MANY: Final = 111


class Faults:
    """Bad commands are the program's mistakes, which another attempt does not mend: the end is
    terminal. Who sends too much may come back later. What depends on permissions is no fault."""

    __slots__ = ("_bad", "_paid_until", "_since", "_too_many")

    def __init__(self) -> None:
        self._since = self._paid_until = 0.0
        self._bad = self._too_many = 0

    def count_free(self, now: float) -> Disconnect | None:
        """Takes a command that costs the account nothing, at `now` (loop time); the end where they
        are more than anybody needs."""
        self._paid_until = max(self._paid_until, now) + 1 / FREE_PER_SECOND
        return codes.flood() if self._paid_until - now > FREE_BURST / FREE_PER_SECOND else None

    def count(self, code: int, now: float) -> Disconnect | None:
        """Takes an error's code, answered at `now` (loop time); the end where it is too much."""
        if code != _TOO_MANY and code not in _BAD:
            return None
        if now - self._since > WINDOW_SECONDS:
            self._since = now
            self._bad = self._too_many = 0
        if code == _TOO_MANY:
            self._too_many += 1
        else:
            self._bad += 1
        if self._bad > MOST_FAULTS:
            return codes.too_many_errors()
        return codes.flood() if self._too_many > MOST_FAULTS else None
