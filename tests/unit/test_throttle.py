from __future__ import annotations

from actors.shard_messages import Ephemeral, Publication
from actors.throttle import MAX_INTERVAL_SECONDS, Throttle


def event(data: bytes, key: str = "k", interval: float = 1.0, channel: str = "c") -> Ephemeral:
    return Ephemeral(channel, key, data, interval)


def out(data: bytes, channel: str = "c") -> Publication:
    return Publication(channel, 0, data)


def test_the_first_at_once_then_the_newest_of_each_interval() -> None:
    throttle = Throttle()
    assert throttle.offer(event(b"1"), 0.0) == out(b"1")
    assert throttle.offer(event(b"2"), 0.2) is None
    assert throttle.offer(event(b"3"), 0.9) is None
    assert throttle.next_due() == 1.0
    assert throttle.take_due(0.99) == []
    assert throttle.take_due(1.0) == [out(b"3")]
    assert throttle.offer(event(b"4"), 1.5) is None, "an interval begins with the trailing edge"
    assert throttle.take_due(2.0) == [out(b"4")]
    assert throttle.take_due(3.0) == []
    assert len(throttle) == 0
    assert throttle.next_due() is None
    assert throttle.offer(event(b"5"), 3.1) == out(b"5")


def test_keys_and_channels_do_not_disturb_each_other() -> None:
    throttle = Throttle()
    assert throttle.offer(event(b"1"), 0.0)
    assert throttle.offer(event(b"2", key="l"), 0.0)
    assert throttle.offer(event(b"3", channel="d"), 0.0) == out(b"3", "d")


def test_interval_zero_goes_out_at_once_and_replaces_what_waits() -> None:
    throttle = Throttle()
    throttle.offer(event(b"1"), 0.0)
    throttle.offer(event(b"2"), 0.1)
    assert throttle.offer(event(b"3", interval=0), 0.2) == out(b"3")
    assert throttle.take_due(1.0) == []


def test_odd_intervals() -> None:
    throttle = Throttle()
    assert throttle.offer(event(b"1", interval=-1), 0.0)
    assert throttle.offer(event(b"2", interval=float("nan")), 0.0)
    assert len(throttle) == 0
    throttle.offer(event(b"3", interval=float("inf")), 0.0)
    assert throttle.next_due() == MAX_INTERVAL_SECONDS


def test_keys_are_bounded() -> None:
    throttle = Throttle(max_keys=1)
    assert throttle.offer(event(b"1"), 0.0)
    assert throttle.offer(event(b"2", key="l"), 0.0) is None
    assert throttle.dropped == 1
    throttle.take_due(1.0)
    assert throttle.offer(event(b"2", key="l"), 1.0) == out(b"2")


def test_a_publication_keeps_what_it_came_with_and_waits_beside_other_keys() -> None:
    throttle = Throttle()
    first, second = (Publication("c", 0, b"1", info=b"i", tags={"n": str(n)}) for n in (1, 2))
    assert throttle.offer_publication(first, "", 1.0, 0.0) is first
    assert throttle.offer_publication(second, "", 1.0, 0.5) is None
    assert throttle.offer(event(b"other"), 0.5) == out(b"other")
    assert throttle.take_due(1.0) == [second]
