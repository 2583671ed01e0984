from __future__ import annotations

from actors.published_keys import KEY_SECONDS, PublishedKeys
from actors.shard_messages import PublishReply

FIRST, SECOND = PublishReply("e", 1), PublishReply("e", 2)


def test_a_key_is_known_for_five_minutes_on_its_channel() -> None:
    keys = PublishedKeys()
    keys.keep("c", "k", FIRST, 10.0)
    assert keys.find("c", "k", 10.0 + KEY_SECONDS - 1) == FIRST
    assert keys.find("d", "k", 10.0) is None
    assert keys.find("c", "k", 10.0 + KEY_SECONDS) is None
    assert len(keys) == 0


def test_of_too_many_the_oldest_are_forgotten() -> None:
    keys = PublishedKeys(max_keys=2)
    keys.keep("c", "a", FIRST, 0.0)
    keys.keep("c", "b", FIRST, 1.0)
    keys.keep("c", "a", SECOND, 2.0)
    keys.keep("c", "d", FIRST, 3.0)
    assert keys.find("c", "b", 3.0) is None
    assert keys.find("c", "a", 3.0) == SECOND
    assert keys.find("c", "d", 3.0) == FIRST
