"""Bar 2: the fan-out of bar 1 when 16 publications come at once and share a write to each socket.

The baseline joins them too: one send() a socket for all 16.
"""

from __future__ import annotations

import sys
from typing import Final

from benchmarks.fan_out import compare
from benchmarks.plan import Plan
from benchmarks.program import run_bar

MUST: Final = 1.6
GOAL: Final = 1.2
IN_FLIGHT: Final = 16
BURSTS_PER_SECOND: Final = 30.0


async def measure(plan: Plan) -> int:
    return await compare(plan, 2, must=MUST, goal=GOAL, rate=BURSTS_PER_SECOND, burst=IN_FLIGHT)


if __name__ == "__main__":
    sys.exit(run_bar(measure, "Bar 2: bursts of 16 publications against a C send() loop."))
