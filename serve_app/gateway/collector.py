"""Python's garbage collector in a process that holds thousands of long-lived sessions."""

from __future__ import annotations

import gc
from typing import Final

# Python's 700 runs the collector many times for each new connection, and walks over the sessions
# of all others now and then: it doubled the time of a reconnect storm (bar 8). What a connection
# leaves behind is freed by counting references; cycles wait a little longer.
_ALLOCATIONS: Final = 50_000
_YOUNG: Final = 20
_MIDDLE: Final = 50


def relax_collector() -> None:
    """Call it when the process has imported and made what stays for good: that is left out of all
    collections from then on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, _YOUNG, _MIDDLE)
