"""The reducer of one channel."""

from __future__ import annotations

from actors.shard_messages import Publication
from actors.stream_state import Deliver, Drop, Effect, FillGap, Lost, Recheck, StreamState


def pub(offset: int, data: str = "") -> Publication:
    return Publication("c", offset, (data or f'{{"n":{offset}}}').encode())


def delivered(effects: list[Effect]) -> list[int]:
    return [p.offset for e in effects if isinstance(e, Deliver) for p in e.publications]


def at(top: int, **bounds: int) -> StreamState:
    state = StreamState(**bounds)
    state.learn_top(top)
    return state


def offsets(publications: list[Publication] | None) -> list[int] | None:
    return None if publications is None else [p.offset for p in publications]


def test_in_order_is_delivered_at_once() -> None:
    state = at(4)
    assert state.apply(pub(5)) == [Deliver([pub(5)])]
    assert state.top == 5


def test_what_comes_again_is_dropped() -> None:
    state = at(4)
    state.apply(pub(5))
    assert state.apply(pub(5)) == [Drop(5)]
    assert state.apply(pub(3)) == [Drop(3)]


def test_ahead_is_held_until_the_gap_closes() -> None:
    state = at(0)
    assert state.apply(pub(3)) == [FillGap(0, 3)]
    assert state.apply(pub(3)) == [Drop(3)]
    assert state.apply(pub(2)) == [FillGap(0, 2)]
    assert delivered(state.apply(pub(1))) == [1, 2, 3]
    assert state.gap() is None


def test_two_gaps_are_filled_by_one_read() -> None:
    state = at(0)
    state.apply(pub(2))
    state.apply(pub(4))
    assert delivered(state.filled([pub(n) for n in range(1, 6)], 5)) == [1, 2, 3, 4, 5]


def test_a_fill_that_ends_early_leaves_the_next_gap() -> None:
    state = at(0)
    state.apply(pub(9))
    assert state.filled([pub(1), pub(2)], 2) == [Deliver([pub(1), pub(2)]), FillGap(2, 9)]


def test_live_publications_may_overtake_a_fill() -> None:
    state = at(0)
    state.apply(pub(3))
    state.apply(pub(1))
    state.apply(pub(2))
    assert delivered(state.filled([pub(1), pub(2), pub(3), pub(4)], 4)) == [4]


def test_offsets_that_postgres_no_longer_has_are_passed_over() -> None:
    state = at(0)
    state.apply(pub(1))
    state.apply(pub(5))
    effects = state.filled([pub(4)], 5)
    assert Lost(2) in effects
    assert delivered(effects) == [4, 5]
    assert state.ring_after(0) is None, "the ring holds no hole"
    assert offsets(state.ring_after(3)) == [4, 5]


def test_publications_before_the_top_is_known_wait_for_it() -> None:
    state = StreamState()
    assert state.apply(pub(7)) == []
    assert state.apply(pub(8)) == []
    assert delivered(state.learn_top(7)) == [8]
    assert state.top == 8
    assert state.gap() is None
    assert state.apply(pub(10)) == [FillGap(8, 10)]


def test_a_higher_top_from_the_sweep_is_a_gap() -> None:
    state = at(3)
    assert state.learn_top(5) == [FillGap(3, 6)]
    assert state.learn_top(2) == [FillGap(3, 6)]
    assert state.known_top == 5
    assert delivered(state.filled([pub(4), pub(5)], 5)) == [4, 5]
    assert state.learn_top(5) == []


def test_the_ring_is_bounded_in_number_and_bytes() -> None:
    few = at(0, max_publications=3)
    small = at(0, max_bytes=3 * len(pub(1).data))
    for n in range(1, 6):
        few.apply(pub(n))
        small.apply(pub(n))
    for state in (few, small):
        assert state.floor == 2
        assert state.ring_after(1) is None
        assert offsets(state.ring_after(2)) == [3, 4, 5]
    assert small.ring_bytes == 3 * len(pub(1).data)


def test_a_publication_beyond_the_byte_bound_passes_and_is_not_kept() -> None:
    state = at(0, max_bytes=10)
    assert delivered(state.apply(pub(1, "x" * 11))) == [1]
    assert state.ring_bytes == 0
    assert state.ring_after(0) is None
    assert offsets(state.ring_after(1)) == []


def test_held_publications_are_bounded_and_what_has_no_room_is_a_gap() -> None:
    state = at(0, max_publications=2)
    for n in (3, 4, 5, 6):
        state.apply(pub(n))
    assert delivered(state.apply(pub(2))) == []
    assert delivered(state.apply(pub(1))) == [1]
    assert state.gap() == FillGap(1, 3), "2 had no room"
    assert delivered(state.filled([pub(n) for n in range(2, 7)], 6)) == [2, 3, 4, 5, 6]


def test_ring_before() -> None:
    state = at(0)
    for n in range(1, 6):
        state.apply(pub(n))
    assert offsets(state.ring_before(6, 2)) == [5, 4]
    assert offsets(state.ring_before(3, 10)) == [2, 1]
    assert offsets(state.ring_before(1, 10)) == []
    assert state.ring_before(8, 2) is None, "beyond the top Postgres is asked"
    later = at(3)
    later.apply(pub(4))
    assert offsets(later.ring_before(5, 1)) == [4]
    assert later.ring_before(5, 2) is None


def test_an_overwritten_publication_replaces_and_is_not_delivered_again() -> None:
    state = at(0)
    for n in (1, 2, 3):
        state.apply(pub(n, f'{{"text":"{n}"}}'))
    effects = state.apply(pub(2, '{"text":""}'))
    assert effects == [Recheck(2)]
    # Neither side is believed before Postgres was asked.
    assert state.ring_after(1) is None
    assert state.ring_before(4, 2) is None
    assert offsets(state.ring_after(2)) == [3]
    assert state.suspicion is not None
    _, token = state.suspicion
    state.confirmed(token, [pub(1, '{"text":"1"}'), pub(2, '{"text":""}'), pub(3)], 3)
    assert state.suspicion is None
    found = state.ring_after(0)
    assert found is not None
    assert [p.data for p in found[:2]] == [b'{"text":"1"}', b'{"text":""}']


def test_postgres_decides_when_the_original_comes_after_its_removal() -> None:
    state = at(0)
    state.apply(pub(1, '{"text":""}'))
    state.apply(pub(1, '{"text":"removed"}'))
    assert state.suspicion is not None
    state.confirmed(state.suspicion[1], [pub(1, '{"text":""}')], 1)
    found = state.ring_after(0)
    assert found is not None
    assert [p.data for p in found] == [b'{"text":""}']


def test_a_doubt_that_arose_during_the_check_outlives_it() -> None:
    state = at(0)
    state.apply(pub(1, '{"text":"a"}'))
    state.apply(pub(1, '{"text":"b"}'))
    assert state.suspicion is not None
    _, token = state.suspicion
    state.apply(pub(1, '{"text":"c"}'))
    state.confirmed(token, [pub(1, '{"text":"b"}')], 1)
    assert state.suspicion is not None


def test_a_check_that_was_cut_short_gives_up_the_doubtful_part() -> None:
    state = at(0)
    for n in (1, 2, 3):
        state.apply(pub(n))
    state.apply(pub(2, '{"text":""}'))
    assert state.suspicion is not None
    state.confirmed(state.suspicion[1], [pub(1)], 1)
    assert state.ring_after(1) is None
    assert offsets(state.ring_after(2)) == [3]


def test_a_fill_that_differs_from_a_held_publication_is_doubtful() -> None:
    state = at(0)
    state.apply(pub(2, '{"text":""}'))
    effects = state.filled([pub(1), pub(2, '{"text":"read before the removal"}')], 2)
    assert delivered(effects) == [1, 2]
    assert Recheck(2) in effects
    assert state.ring_after(0) is None


def test_an_overwritten_publication_without_room_makes_the_fill_doubtful() -> None:
    state = at(0, max_publications=1)
    state.apply(pub(3))
    assert Recheck(2) in state.apply(pub(2, '{"text":""}'))


def test_a_removal_that_postgres_brings_makes_the_ring_doubtful() -> None:
    state = at(0)
    state.apply(pub(1))
    state.learn_top(2)
    effects = state.filled([pub(2, '{"type":"comment.deleted","at":"now"}')], 2)
    assert Recheck(2) in effects
    assert state.ring_after(0) is None


def test_committed_ns_is_no_difference() -> None:
    state = at(0)
    state.apply(pub(1, '{"a":1,"committed_ns":17}'))
    assert state.apply(pub(1, '{"a":1,"committed_ns":18}')) == [Drop(1)]
    assert state.apply(pub(1, '{"a":2,"committed_ns":17}')) == [Recheck(1)]


def test_a_forgotten_ring_answers_from_its_top_on() -> None:
    state = at(0)
    state.apply(pub(1))
    state.forget_ring()
    assert state.ring_bytes == 0
    assert state.ring_after(0) is None
    assert delivered(state.apply(pub(2))) == [2]
    assert offsets(state.ring_after(1)) == [2]
