"""How long and how often a bar measures, the same options for every program."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

import msgspec

ROUNDS: Final = 3
"""A figure of record is the median of at least so many rounds."""


class Plan(msgspec.Struct, frozen=True):
    """`scale` multiplies the seconds of every measurement. `posts`: how many more than it needs are
    in the database of bar 5."""

    rounds: int = ROUNDS
    scale: float = 1.0
    posts: int = 0

    def seconds(self, usual: float) -> float:
        return usual * self.scale


def read_plan(arguments: Sequence[str] | None, purpose: str) -> Plan:
    parser = argparse.ArgumentParser(description=purpose)
    add_options(parser)
    return plan_of(parser.parse_args(arguments))


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"of ours and its baseline in turn ({ROUNDS})"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a third of the time: shows that it works, no record"
    )
    parser.add_argument(
        "--posts", type=int, default=0, help="bar 5: so many more posts in its database (0)"
    )


def plan_of(options: argparse.Namespace) -> Plan:
    if options.rounds < 1:
        raise SystemExit("--rounds: at least 1")
    if options.posts < 0:
        raise SystemExit("--posts: at least 0")
    return Plan(options.rounds, 1 / 3 if options.quick else 1.0, options.posts)
