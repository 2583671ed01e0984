from __future__ import annotations

from actors.presence_state import PresenceState


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
