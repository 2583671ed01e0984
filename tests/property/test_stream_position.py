"""However publications arrive, what is delivered is the stream, in order, once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.shard_messages import Publication, StreamPosition
from serve_app.gateway.stream_position import ChannelPosition

offsets = st.integers(1, 30)


def publication(offset: int) -> Publication:
    return Publication("c", offset, b"%d" % offset)


@given(st.integers(0, 30), st.lists(offsets), st.lists(offsets), st.data())
def test_order_and_completeness(
    top: int, before: list[int], after: list[int], data: st.DataObject
) -> None:
    position = ChannelPosition()
    delivered: list[int] = []
    for offset in before:
        assert position.take(publication(offset)) == []
    delivered += [p.offset for p in position.place(StreamPosition("e", top)).deliver]
    for offset in after:
        delivered += [p.offset for p in position.take(publication(offset))]
        if data.draw(st.booleans(), "history answers now") and position.missing:
            until = data.draw(st.integers(position.last, position.target), "how far")
            history = [publication(o) for o in range(position.last + 1, until + 1)]
            delivered += [p.offset for p in position.take_all(history)]
            assert position.last >= until
        assert delivered == list(range(top + 1, position.last + 1))
    newest = max([top, *before, *after])
    delivered += [
        p.offset
        for p in position.take_all(publication(o) for o in range(position.last + 1, newest + 1))
    ]
    assert delivered == list(range(top + 1, newest + 1))
    assert not position.missing and not position._held and position._held_bytes == 0


@given(st.lists(offsets), offsets)
def test_giving_up_goes_on_after_everything_known(seen: list[int], top: int) -> None:
    position = ChannelPosition()
    position.place(StreamPosition("e", 0))
    for offset in seen:
        position.take(publication(offset))
    position.expect(top)
    position.give_up()
    assert position.last == max([top, *seen]) and not position.missing
    (ready,) = position.take(publication(position.last + 1))
    assert ready.offset == position.last


@given(st.lists(offsets), st.integers(0, 30))
def test_another_epoch_is_a_loss(seen: list[int], top: int) -> None:
    position = ChannelPosition()
    position.place(StreamPosition("e", 0))
    for offset in seen:
        position.take(publication(offset))
    placement = position.place(StreamPosition("f", top))
    assert placement.lost and placement.deliver == []
    assert (position.epoch, position.last, position.missing) == ("f", top, False)
    (ready,) = position.take(publication(top + 1))
    assert ready.offset == top + 1


def test_what_is_given_up_before_the_position_is_known_is_missing_then() -> None:
    position = ChannelPosition()
    position.take(publication(5))
    position.give_up()
    assert position.place(StreamPosition("e", 3)).deliver == []
    assert (position.last, position.target, position.missing) == (3, 5, True)
