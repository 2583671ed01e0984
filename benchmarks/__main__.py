"""`python -m benchmarks [BAR …] [--rounds N] [--quick]`: each bar is a program of its own.

Bars run one after the other, never together. Exit 1 when one was missed, 2 when one could not be
measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Final

from benchmarks import plan
from benchmarks.machine import ROOT, module

BARS: Final = {
    1: ("benchmarks.fan_out", "fan-out cost"),
    2: ("benchmarks.fan_out_bursts", "fan-out in bursts"),
    3: ("benchmarks.durable_fan_out", "end to end, durable"),
    4: ("benchmarks.durable_writes", "durable writes"),
    5: ("benchmarks.feed_reads", "feed reads"),
    6: ("benchmarks.uncached_reads", "uncached reads"),
    7: ("benchmarks.idle_sockets", "idle sockets"),
    8: ("benchmarks.reconnect_storm", "reconnect storm"),
    9: ("benchmarks.rate_limit_check", "rate-limit check"),
    10: ("benchmarks.batched_handles", "batched handles"),
    11: ("benchmarks.retrieval", "retrieval"),
    12: ("benchmarks.llm_serving", "LLM serving"),
    13: ("benchmarks.many_communities", "many communities"),
    14: ("benchmarks.scale_out", "scale out"),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measures the performance bars, each against its baseline in the same run.",
        epilog="; ".join(f"{number}: {title}" for number, (_, title) in BARS.items()),
    )
    parser.add_argument("bars", metavar="BAR", nargs="*", type=int, help="which ones (all)")
    plan.add_options(parser)
    options = parser.parse_args()
    plan.plan_of(options)
    unknown = [bar for bar in options.bars if bar not in BARS]
    if unknown:
        parser.error(f"no such bar: {unknown} (there are {list(BARS)})")
    passed_on = ["--rounds", str(options.rounds), *(["--quick"] if options.quick else [])]
    passed_on += ["--posts", str(options.posts)]
    worst = 0
    for bar in options.bars or BARS:
        name, title = BARS[bar]
        print(f"\nBar {bar}: {title}", flush=True)
        ended = subprocess.run(module(name, *passed_on), cwd=ROOT, check=False)
        worst = max(worst, abs(ended.returncode))
    return min(worst, 2)


if __name__ == "__main__":
    sys.exit(main())
