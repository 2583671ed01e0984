from __future__ import annotations

from actors.presence_state import DELIVERIES_PER_SECOND, PresenceState


def test_users_are_exact_over_gateways() -> None:
    state = PresenceState()
    assert state.change("g1", "c", "ann", 2)
    assert state.change("g2", "c", "ann", 1)
    assert state.change("g2", "c", "bob", 1)
    assert state.change("g2", "d", "bob", 1)
    assert state.count("c") == (4, 2)
    assert state.count("d") == (1, 1)
    state.forget("g2")
    assert state.count("c") == (2, 1)
    assert state.count("d") == (0, 0)
    assert len(state) == 1


def test_saying_it_twice_changes_nothing() -> None:
    state = PresenceState()
    state.change("g", "c", "ann", 2)
    assert not state.change("g", "c", "ann", 2)
    assert state.count("c") == (2, 1)


def test_guests_are_connections_and_no_users() -> None:
    state = PresenceState()
    state.change("g", "c", "", 3)
    state.change("g", "c", "ann", 1)
    assert state.count("c") == (4, 1)


def test_nothing_is_left_of_those_who_went() -> None:
    state = PresenceState()
    state.change("g", "c", "ann", 1)
    state.change("g", "c", "ann", 0)
    assert not state.change("g", "c", "bob", -1)
    assert len(state) == 0
    assert state.count("c") == (0, 0)
    state.forget("g")
    state.forget("unknown")


def test_changes_of_a_second_are_told_once() -> None:
    state = PresenceState()
    state.change("g1", "c", "ann", 1)
    state.change("g1", "c", "bob", 2)
    state.change("g2", "d", "ann", 1)
    assert state.take_changed(0.0, 10) == [("c", 3), ("d", 1)]
    assert state.take_changed(5.0, 10) == [], "nothing changed since"
    state.change("g1", "c", "bob", 0)
    assert state.take_changed(6.0, 10) == [("c", 1)]
    state.change("g1", "c", "cyd", 1)
    assert state.take_changed(6.9, 10) == [], "within the second"
    state.change("g1", "c", "dan", 1)
    assert state.take_changed(7.0, 10) == [("c", 3)]


def test_those_who_are_told_in_one_go_are_bounded_and_take_turns() -> None:
    state = PresenceState()
    for channel in "abc":
        state.change("g", channel, "ann", 1)
    assert state.take_changed(0.0, 2) == [("a", 1), ("b", 1)]
    state.change("g", "a", "bob", 1)
    assert state.take_changed(1.0, 2) == [("c", 1), ("a", 2)]


def test_the_more_hear_a_count_the_more_rarely_it_is_told() -> None:
    state = PresenceState()
    state.change("g", "c", "", 5 * DELIVERIES_PER_SECOND)
    assert len(state.take_changed(0.0, 1)) == 1
    state.change("g", "c", "ann", 1)
    assert state.take_changed(4.9, 1) == []
    assert state.take_changed(5.0, 1) == [("c", 5 * DELIVERIES_PER_SECOND + 1)]


def test_a_gateway_that_vanishes_changes_counts_and_empty_channels_are_told_nothing() -> None:
    state = PresenceState()
    state.change("g1", "c", "ann", 1)
    state.change("g2", "c", "ann", 1)
    state.change("g2", "d", "ann", 1)
    state.take_changed(0.0, 10)
    state.forget("g2")
    assert state.take_changed(1.0, 10) == [("c", 1)]
    state.forget("g1")
    assert state.take_changed(2.0, 10) == []


def test_all_that_a_gateway_holds_replaces_what_it_held() -> None:
    state = PresenceState()
    state.change("g", "c", "ann", 2)
    state.change("g", "c", "bob", 1)
    state.change("h", "c", "bob", 1)
    state.take_changed(0.0, 10)
    state.begin_introduction("g")
    state.change("g", "c", "ann", 2)
    assert state.count("c") == (4, 2), "not all is said yet"
    state.change("g", "c", "bob", 1)
    state.end_introduction("g")
    assert state.take_changed(5.0, 10) == [], "said again, nothing changed"
    state.begin_introduction("g")
    state.change("g", "c", "ann", 1)
    state.change("g", "d", "ann", 1)
    state.end_introduction("g")
    assert (state.count("c"), state.count("d")) == ((2, 2), (1, 1))
    state.begin_introduction("g")
    state.forget("g")
    assert state.count("c") == (1, 1)


def test_counts_of_some_channels_are_never_told() -> None:
    state = PresenceState(lambda channel: channel != "c")
    state.change("g", "c", "ann", 1)
    state.change("g", "d", "ann", 1)
    assert state.take_changed(0.0, 10) == [("d", 1)]
    assert state.count("c") == (1, 1)
