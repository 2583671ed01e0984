"""Where a channel lives: channel -> one of 1,024 fixed slots -> shard.

The number of shards may change between starts: slots move, rows don't. Every process must use the
same count, it comes from the settings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from zlib import crc32

SLOTS: Final = 1024


def slot_of(channel: str) -> int:
    return crc32(channel.encode()) % SLOTS


def shard_of(channel: str, shards: int) -> int:
    """Index in [0, shards). Each shard holds one run of neighbouring slots; their numbers differ by
    one at most. `shards` is 1 to 1,024."""
    return slot_of(channel) * shards // SLOTS


def by_shard(channels: Iterable[str], shards: int) -> dict[int, list[str]]:
    """The channels of each shard that has any, in the order given."""
    groups: dict[int, list[str]] = {}
    for channel in channels:
        groups.setdefault(shard_of(channel, shards), []).append(channel)
    return groups
