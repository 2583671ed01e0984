from __future__ import annotations

from prometheus_client import REGISTRY

from actors.mailbox import ENTRY_BYTES, Mailbox
from actors.shard_messages import Publication


def durable(offset: int, size: int = 10) -> Publication:
    return Publication("c", offset, b"x" * size)


EPHEMERAL = Publication("c", 0, b"x" * 10)


def test_the_same_comes_again_until_it_is_acknowledged() -> None:
    box = Mailbox()
    for n in (1, 2, 3):
        assert box.put(durable(n))
    assert box.batch(2, 10**6) == (2, [durable(1), durable(2)])
    assert box.batch(2, 10**6) == (2, [durable(1), durable(2)])
    assert box.acknowledge(2)
    assert box.batch(2, 10**6) == (3, [durable(3)])
    assert box.acknowledge(3)
    assert box.batch(2, 10**6) == (0, [])
    assert (len(box), box.size_bytes) == (0, 0)


def test_a_number_that_was_never_given_out_is_refused() -> None:
    box = Mailbox()
    box.put(durable(1))
    assert not box.acknowledge(2)
    assert len(box) == 1


def test_a_batch_is_bounded_in_bytes_but_never_empty() -> None:
    box = Mailbox()
    for n in (1, 2, 3):
        box.put(durable(n))
    assert box.batch(10, 2 * (ENTRY_BYTES + 10))[1] == [durable(1), durable(2)]
    assert box.batch(10, 1)[1] == [durable(1)]


def test_full_in_items_or_in_bytes_refuses() -> None:
    items, size = Mailbox(max_items=2), Mailbox(max_bytes=2 * (ENTRY_BYTES + 10))
    for box in (items, size):
        assert box.put(durable(1))
        assert box.put(durable(2))
        assert not box.put(durable(3))
        box.acknowledge(1)
        assert box.put(durable(3))


def test_an_empty_mailbox_takes_anything() -> None:
    assert Mailbox(max_bytes=1).put(durable(1, 100))


def test_ephemeral_events_are_refused_from_half_full_on() -> None:
    box = Mailbox(max_items=4)
    box.put(durable(1))
    assert box.put(EPHEMERAL)
    assert box.put(EPHEMERAL), "dropping one is no failure"
    assert (len(box), box.dropped) == (2, 1)


def test_ephemeral_events_make_room_for_durable_ones() -> None:
    box = Mailbox(max_items=4)
    box.put(EPHEMERAL)
    box.put(durable(1))
    box.put(durable(2))
    box.put(durable(3))
    assert box.put(durable(4))
    assert not box.put(durable(5))
    assert box.batch(10, 10**6) == (5, [durable(n) for n in (1, 2, 3, 4)])
    assert box.dropped == 1
    assert box.size_bytes == 4 * (ENTRY_BYTES + 10)
    assert box.acknowledge(5)
    assert box.size_bytes == 0


def test_info_and_tags_take_room_too() -> None:
    mailbox = Mailbox()
    mailbox.put(Publication("c", 1, b"12", info=b"345", tags={"ab": "cd"}))
    assert mailbox.size_bytes == ENTRY_BYTES + 9
    mailbox.acknowledge(1)
    assert mailbox.size_bytes == 0


def test_what_is_dropped_is_counted_over_all_mailboxes() -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("serai_shard_mailbox_dropped_total") or 0.0

    before = counted()
    refusing, throwing = Mailbox(max_items=2), Mailbox(max_items=2)
    for box in (refusing, throwing):
        box.put(EPHEMERAL)
    refusing.put(EPHEMERAL)
    throwing.put(durable(1))
    throwing.put(durable(2))
    assert (refusing.dropped, throwing.dropped) == (1, 1)
    assert counted() == before + 2
