from __future__ import annotations

from collections import Counter

import pytest

from actors.slots import SLOTS, by_shard, shard_of, slot_of


def test_a_slot_is_the_crc32_of_the_channel() -> None:
    # crc32("123456789") is 0xCBF43926, the check value of the algorithm.
    assert slot_of("123456789") == 0xCBF43926 % 1024


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 1024])
def test_every_shard_gets_its_share(shards: int) -> None:
    slots = Counter(slot * shards // SLOTS for slot in range(SLOTS))
    assert set(slots) == set(range(shards))
    assert max(slots.values()) - min(slots.values()) <= 1
    channels = [f"thread:{n}" for n in range(500)]
    assert {shard_of(channel, shards) for channel in channels} <= set(range(shards))


def test_by_shard_keeps_every_channel_and_its_order() -> None:
    channels = [f"thread:{n}" for n in range(50)]
    groups = by_shard(channels, 3)
    assert {c for members in groups.values() for c in members} == set(channels)
    for shard, members in groups.items():
        assert members == [channel for channel in channels if shard_of(channel, 3) == shard]
