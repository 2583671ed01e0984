"""Access tokens that were found good, so that a signature is computed once and not per request."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from actors.access_token import verify
from actors.messages import Caller

_MAX_TOKENS: Final = 20_000


class VerifiedTokens:
    """Bounded; the expiry is looked at every time. A token holds for its life wherever it is
    checked, so remembering one extends nothing."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        self._good: dict[str, tuple[Caller, float]] = {}

    def verify(self, token: str) -> tuple[Caller, float]:
        """(caller, expiry in Unix seconds). Raises AppError token_expired or unauthenticated."""
        known = self._good.get(token)
        now = self._clock()
        if known is not None and known[1] > now:
            return known
        self._good.pop(token, None)
        found = verify(token, self._secret, now)
        if len(self._good) >= _MAX_TOKENS:
            del self._good[next(iter(self._good))]  # the oldest one
        self._good[token] = found
        return found
