"""Python's garbage collector in processes that serve: many sessions, or batch after batch."""

from __future__ import annotations

import gc
from typing import Final

# Python's 700 runs the collector many times for each new connection, and walks over the sessions
# of all others now and then: it doubled the time of a reconnect storm (bar 8). A page of comments
# is a thousand objects, and a library's modules are a hundred thousand to walk over. What a
# connection or a batch leaves behind is freed by counting references; cycles wait a little longer.
_ALLOCATIONS: Final = 50_000
_YOUNG: Final = 20
_MIDDLE: Final = 50
# A rest ends after so long in any case: a rush that never ends must not leave cycles for ever.
_REST_SECONDS: Final = 10.0


def relax_collector() -> None:
    """Call it when the process has imported and made what stays for good: that is left out of all
    collections until a rush of connections has passed."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, _YOUNG, _MIDDLE)


class CollectorRest:
    """No collections while thousands come back at once (docs/adr/0024): each would walk over what
    they have just made and keep, a fifth of the time that their handshakes take. Belongs to one
    event loop; `now` is its time."""

    def __init__(self) -> None:
        self._until: float | None = None

    def begin(self, now: float) -> None:
        if self._until is None and gc.isenabled():
            self._until = now + _REST_SECONDS
            gc.disable()

    def end(self) -> None:
        """What was made meanwhile counts as old, without being walked over. Idempotent."""
        if self._until is not None:
            self._until = None
            gc.freeze()
            gc.unfreeze()
            gc.enable()

    def end_if_long(self, now: float) -> None:
        if self._until is not None and now >= self._until:
            self.end()
